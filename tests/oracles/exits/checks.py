"""What must hold of the oracle itself, whatever the numbers are."""

import json
from pathlib import Path

import numpy as np

from . import calm, cases, eellm, free, layerskip, specee, valade
from .files import read_tensors
from .model import Cache, Model, Shape
from .record import Margins, Record, alone

NEVER = [
    (free.free, {"shallow": 3, "threshold": 1.0}), (free.free, {"shallow": 5, "threshold": 1.0, "rollback": 0.5}),
    *[(calm.calm, {**cases.CALM, "measure": measure, "threshold": 2.0}) for measure in calm.MEASURES],
    (specee.specee, {**cases.SPECEE, "threshold": 1.0, "offline": [0, 3, 6]}),
    *[(valade.unchecked, {"thresholds": {"3": 0.0, "7": None}, "keys": keys}) for keys in ("holes", "propagated")],
    (valade.checked, {"thresholds": {"3": 0.0, "7": None}, "drafts": 5}),
    (layerskip.unchecked, {"shallow": 8, "drafts": 0}),
    (eellm.eellm, {"threshold": 1.0, "probes": [2, 5], "heads": "shared"}),
]  # fmt: skip
LOSSLESS = [
    *[
        (valade.checked, {"thresholds": {"3": tau, "5": tau, "7": tau}, "drafts": 4})
        for tau in (0.1, 0.5, 1.0, 2.0, 9.0)
    ],
    *[(layerskip.checked, {"shallow": shallow, "drafts": drafts}) for shallow in range(1, 8) for drafts in (1, 2, 5)],
]
MEASURED = {"free": free.top_two_gap, "dssd": valade.entropy, "eellm": eellm.log_largest}


def golden_llama(folder: Path) -> None:
    """The plain model computes the logits of another program's vectors."""
    shape = json.loads((folder / "config.json").read_text())["model"]
    wanted = read_tensors(folder / "acts.safetensors")
    model = Model(Shape.of(shape), read_tensors(folder / "weights.safetensors"))
    for tokens, logits in zip(wanted["input_ids"], wanted["prefill.logits"]):
        found = model.logits(model.prompt(tokens.tolist(), model.cache()))
        assert np.abs(found - logits).max() < 1e-4, np.abs(found - logits).max()


def whole(model: Model, tokens: list[int]) -> Cache:
    cache = model.cache()
    model.prompt(tokens, cache)
    return cache


def same(one: Cache, other: Cache, layer: int, positions: list[int]) -> None:
    assert one.there[layer, positions].all()
    for mine, theirs in ((one.keys, other.keys), (one.values, other.values)):
        assert np.allclose(mine[layer, positions], theirs[layer, positions], rtol=0, atol=1e-9)


def exact(model: Model, prompts: list, counts: list[int], wanted: list[Record]) -> None:
    """Never leaving, and leaving with a check, both write the plain text; and a text in one piece has its keys."""
    for prompt, count, record in zip(prompts, counts, wanted):
        text = [*prompt, *record.tokens[:-1]]
        for layer in range(model.shape.layers):
            same(record.cache, whole(model, text), layer, list(range(len(text))))
        for system, settings in NEVER + LOSSLESS:
            found = alone(system(model, prompt, count, settings, Margins()))
            assert found.tokens == record.tokens, (system.__module__, settings)
            if (system, settings) in NEVER:
                assert set(found.exits) == {model.shape.layers}, (system.__module__, settings)


def batch(model: Model, case: cases.Case, prompts: list, counts: list[int], records: list[Record]) -> None:
    """A text comes out the same alone; where all leave together, alone means CALM without company."""
    for prompt, count, record in zip(prompts, counts, records):
        found = cases.run(model, case, [prompt], [count], Margins())[0][0]
        if case.settings.get("together"):
            other = alone(calm.calm(model, prompt, count, case.settings, Margins()))
            assert found.tokens == other.tokens and found.exits == other.exits
        elif not case.settings.get("adaptive"):
            assert found.tokens == record.tokens and found.exits == record.exits, case.name


def kept_keys(model: Model, case: cases.Case, prompts: list, records: list[Record]) -> None:
    """Which positions each layer has, and whether they are the whole model's on the same tokens."""
    layers = model.shape.layers
    for prompt, record in zip(prompts, records):
        start, text = len(prompt), [*prompt, *record.tokens[:-1]]
        truth = whole(model, text)
        for layer in range(layers):
            there = record.cache.positions(layer)
            if case.system == "free":
                late = (
                    [start + place - 1 for place in record.more["waiting"]] if layer >= case.settings["shallow"] else []
                )
                assert there == [position for position in range(len(text)) if position not in late], (case.name, layer)
                same(record.cache, truth, layer, there)
            if case.system == "eellm":
                same(record.cache, truth, layer, list(range(record.more["complete"])))
            if case.system == "specee" or case.settings.get("keys") == "holes":
                ran = [start + place for place, depth in enumerate(record.exits[1:]) if depth > layer]
                assert there == [*range(start), *ran], (case.name, layer)
            if case.system == "calm" or case.settings.get("keys") == "propagated":
                assert there == list(range(len(text)))


def filled(model: Model, prompt: list[int], record: Record) -> None:
    """Keys that CALM fills in, found the other way: by the states that the kept keys lead to."""
    for place, depth in enumerate(record.exits[1:]):
        position = len(prompt) + place
        cache = model.cache()
        cache.keys[:], cache.values[:] = record.cache.keys, record.cache.values
        cache.there[:] = record.cache.there
        cache.cut(position)
        row = model.run(model.embed([record.tokens[place]]), [position], cache, 0, depth)
        for layer in range(depth, model.shape.layers):
            model.project(layer, row, np.array([position]), cache)
            same(cache, record.cache, layer, [position])


def bounded(case: cases.Case, record: Record) -> None:
    """No more rows wait than may."""
    bound = case.settings.get("bound")
    if bound is not None:
        sizes = record.more["rows"] if case.system == "eellm" else [rows for _, rows in record.more["flushes"]]
        assert max(sizes) == bound + 1, (case.name, sizes)


def rolled_back(model: Model, case: cases.Case, prompt: list[int], record: Record) -> None:
    """Every early token left is one that the whole model, on the same text, does not find too unlikely."""
    if case.settings.get("rollback") is None:
        return
    rows = model.logits(model.prompt([*prompt, *record.tokens[:-1]], model.cache()))[len(prompt) - 1 :]
    for logits, token, depth in zip(rows, record.tokens, record.exits):
        if depth < model.shape.layers:
            assert free.log_sum(logits) - logits[token] <= case.settings["rollback"]


def true_states(model: Model, case: cases.Case, prompt: list[int], record: Record) -> None:
    """Where what was left out is made up for, each test saw, and each early token came from, the whole model's states."""
    cache, text = model.cache(), [*prompt, *record.tokens[:-1]]
    states = [model.embed(text)]
    for layer in range(model.shape.layers):
        states.append(model.layer(layer, states[-1], np.arange(len(text)), cache))
    for place, (token, exit_depth, seen) in enumerate(zip(record.tokens, record.exits, record.confidence)):
        if place == 0:
            continue
        for depth in {*seen, exit_depth}:
            row = states[depth][len(prompt) + place - 1]
            own = (case.system == "dssd" or case.settings.get("heads") == "own") and depth < model.shape.layers
            logits = valade.head(model, depth, row) if own else model.logits(row)
            assert depth not in seen or abs(MEASURED[case.system](logits) - seen[depth]) < 1e-9, (
                case.name,
                place,
                depth,
            )
            assert depth != exit_depth or logits.argmax() == token, (case.name, place, depth)


def all_checks(model: Model, prompts: list, counts: list[int], found: dict[str, list[Record]]) -> None:
    exact(model, prompts, counts, found["plain.plain"])
    for case in cases.CASES:
        records = found[f"{case.system}.{case.name}"]
        batch(model, case, prompts, counts, records)
        kept_keys(model, case, prompts, records)
        for prompt, record in zip(prompts, records):
            bounded(case, record)
            if case.system in ("free", "dssd", "layerskip", "eellm") and case.settings.get("drafts") != 0:
                true_states(model, case, prompt, record)
            rolled_back(model, case, prompt, record)
            if case.system == "calm" or case.settings.get("keys") == "propagated":
                filled(model, prompt, record)
