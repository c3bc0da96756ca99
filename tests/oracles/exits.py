"""Writes tests/golden/exits: what each system of early exit does with one small Llama, computed from its rules alone.

    pip install numpy
    python tests/oracles/exits.py --out tests/golden/exits            # vectors anew, from the weights and prompts there
    python tests/oracles/exits.py --out tests/golden/exits --check    # nothing is written; files must say the same
    python tests/oracles/exits.py --out FOLDER --search SEED          # weights and prompts too, where FOLDER has none

The oracle's own checks (`exits/checks.py`) run each time. Numbers are float64 throughout, from weights that are float32;
tests/golden/exits/README.md tells what the files hold.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from exits import cases, checks, search, tables, weights
from exits.files import read_tensors, write_json, write_tensors
from exits.model import Model, Shape
from exits.record import Margins, Record

# The text of whose keys and values some are kept.
KEPT = 1
EXITS = [3, 5, 7]
CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "hidden_size": 64,
    "intermediate_size": weights.INNER, "num_hidden_layers": 8, "num_attention_heads": 4, "num_key_value_heads": 2,
    "head_dim": 16, "vocab_size": 300, "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
    "tie_word_embeddings": False, "attention_bias": False, "mlp_bias": False,
}  # fmt: skip
GOLDEN = Path(__file__).resolve().parents[1] / "golden"


def rounded(margins: Margins) -> dict[str, float]:
    return {kind: float(f"{distance:.3g}") for kind, distance in sorted(margins.least.items()) if np.isfinite(distance)}


def tensors_of(case: cases.Case, records: list[Record], layers: int) -> dict[str, np.ndarray]:
    found, depths = {}, cases.probes(case, layers)
    for place, record in enumerate(records):
        if case.system == "dssd":
            rows = [[seen.get(depth, np.nan) for depth in depths] for seen in record.more.pop("entropies")]
            found[f"{case.name}.{place}.confidence"] = np.array(rows)
        elif depths:
            found[f"{case.name}.{place}.confidence"] = record.table(depths)
    kept = records[KEPT]
    for layer in case.layers:
        positions = [one for one in kept.cache.positions(layer) if one < kept.more.get("complete", np.inf)]
        name = f"{case.name}.{KEPT}.layer{layer}"
        found[f"{name}.positions"] = np.array(positions)
        found[f"{name}.k"], found[f"{name}.v"] = kept.cache.keys[layer, positions], kept.cache.values[layer, positions]
    return found


def vectors(model: Model, prompts: list, counts: list[int]) -> tuple[dict[str, dict], dict[str, dict]]:
    """JSON and tensors of each system, after the oracle's checks."""
    texts, tensors, records = {}, {}, {}
    for case in cases.CASES:
        margins = Margins(search.FLOOR)
        found, more = cases.run(model, case, prompts, counts, margins)
        records[f"{case.system}.{case.name}"] = found
        tensors.setdefault(case.system, {}).update(tensors_of(case, found, model.shape.layers))
        entry = {"name": case.name, "settings": case.settings, "probes": cases.probes(case, model.shape.layers), **more}
        sequences = [{"tokens": one.tokens, "exits": one.exits, **one.more} for one in found]
        texts.setdefault(case.system, {"cases": []})["cases"].append(
            {**entry, "margins": rounded(margins), "sequences": sequences}
        )
        print(f"{case.system} {case.name}: {rounded(margins)}")
    checks.all_checks(model, prompts, counts, records)
    for name, rule in (("learn_then_test", tables.learned_thresholds), ("beta_mixture", tables.adaptive_thresholds)):
        margins = Margins(search.FLOOR)
        texts[name] = {"tables": rule(margins)}
        print(f"{name}: {rounded(margins)}")
    return texts, tensors


def prepared(out: Path, seed: int | None) -> tuple[Model, list, list[int]]:
    """The model and the prompts of the folder; made where a seed is given."""
    shape = Shape.of(CONFIG)
    if seed is not None:
        if not (out / "weights.safetensors").exists():
            out.mkdir(parents=True, exist_ok=True)
            write_tensors(out / "weights.safetensors", weights.make(shape, EXITS))
        model = Model(shape, read_tensors(out / "weights.safetensors"), EXITS)
        print(weights.agreement(model))
        found = {"exits": EXITS, "prompts": search.prompts(model, seed), "counts": search.COUNTS}
        write_json(out / "prompts.json", found)
        write_json(out / "config.json", CONFIG)
    given = json.loads((out / "prompts.json").read_text())
    return Model(shape, read_tensors(out / "weights.safetensors"), EXITS), given["prompts"], given["counts"]


def differs(path: Path, value) -> bool:
    """Whether a file says something else: numbers may differ by a rounding."""
    if path.suffix == ".json":
        return not alike(json.loads(path.read_text()), json.loads(json.dumps(value)))
    there = read_tensors(path)
    return there.keys() != value.keys() or any(
        there[name].shape != one.shape or not np.allclose(there[name], one, rtol=1e-5, atol=1e-6, equal_nan=True)
        for name, one in value.items()
    )


def alike(one, other) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one if key != "margins")
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) < 1e-6
    return one == other


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--out", type=Path, required=True)
    arguments.add_argument("--check", action="store_true")
    arguments.add_argument("--search", type=int, metavar="SEED")
    given = arguments.parse_args()
    checks.golden_llama(GOLDEN / "vanilla")
    model, prompts, counts = prepared(given.out, given.search)
    texts, tensors = vectors(model, prompts, counts)
    files = [(given.out / f"{name}.json", value, write_json) for name, value in texts.items()]
    files += [(given.out / f"{name}.safetensors", value, write_tensors) for name, value in tensors.items() if value]
    for path, value, write in files:
        if not given.check:
            write(path, value)
        elif differs(path, value):
            sys.exit(
                f"{path} says something else than the oracle; write it anew without --check and look at what changed"
            )
    print("the oracle's checks hold" + (", and the files say the same" if given.check else ""))


if __name__ == "__main__":
    main()
