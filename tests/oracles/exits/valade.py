"""Valade's exits: a norm and a linear of its own at each, which leave where the entropy is low. Without and with a check.

Settings: `thresholds` (depth of an exit to entropy in nats; nothing disables an exit). Without a check also `keys`:
"holes" (layers left out have no entry for the token) or "propagated" (they get keys and values of its last state).
With a check also `drafts`, the most of a round.
"""

import numpy as np

from .model import Model, softmax
from .plain import first_token
from .record import Margins, Record


def head(model: Model, depth: int, row: np.ndarray) -> np.ndarray:
    """The logits of the exit at this depth. Heads are numbered from the shallowest."""
    name = f"heads.{model.exits.index(depth)}"
    return model.norm(row, f"{name}.norm.weight") @ model.tensors[f"{name}.linear.weight"].T


def entropy(logits: np.ndarray) -> float:
    share = softmax(logits)
    return float(-(share * np.log(np.maximum(share, 1e-300))).sum())


def descend(model: Model, token: int, position: int, record: Record, settings: dict, margins: Margins):
    """Runs a token until an exit fires: the row, its depth, its logits, and the entropies on the way."""
    row, seen = model.embed([token]), {}
    for depth in range(1, model.shape.layers + 1):
        row = model.run(row, [position], record.cache, depth - 1, depth)
        border = settings["thresholds"].get(str(depth))
        if border is not None:
            logits = head(model, depth, row[0])
            seen[depth] = entropy(logits)
            if margins.below(seen[depth], border):
                return row, depth, logits, seen
    return row, depth, model.logits(row[0]), seen


def unchecked(model: Model, prompt: list[int], count: int, settings: dict, margins: Margins):
    record = Record()
    first_token(model, prompt, record, margins)
    while len(record.tokens) < count:
        yield
        position = len(prompt) + len(record.tokens) - 1
        row, depth, logits, seen = descend(model, record.tokens[-1], position, record, settings, margins)
        if settings["keys"] == "propagated":
            for layer in range(depth, model.shape.layers):
                model.project(layer, row, np.array([position]), record.cache)
        record.wrote(margins.best(logits), depth, seen)
    return record


def draft(model: Model, start: int, record: Record, settings: dict, margins: Margins) -> list[tuple[int, int, dict]]:
    """Guesses: token, depth and entropies. A row's deeper layers are filled before another row reads them."""
    guesses, token = [], record.tokens[-1]
    while len(guesses) < settings["drafts"]:
        position = start + len(guesses)
        row, depth, logits, seen = descend(model, token, position, record, settings, margins)
        model.run(row, [position], record.cache, depth)
        token = margins.best(logits)
        guesses.append((token, depth, seen))
        if depth == model.shape.layers:
            break
    return guesses


def checked(model: Model, prompt: list[int], count: int, settings: dict, margins: Margins):
    """DSSD. `drafted`, `accepted`: of each round. `guesses`: of each guess its token, its depth, and whether it held."""
    record = Record()
    record.more |= {"drafted": [], "accepted": [], "guesses": [], "entropies": []}
    first_token(model, prompt, record, margins)
    while len(record.tokens) < count:
        yield
        start = len(prompt) + len(record.tokens) - 1
        guesses = draft(model, start, record, settings, margins)
        rows = model.embed([record.tokens[-1], *[token for token, _, _ in guesses]])
        rows = model.logits(model.run(rows, start + np.arange(len(rows)), record.cache))
        right = 0
        while right < len(guesses) and margins.best(rows[right]) == guesses[right][0]:
            right += 1
        for token, depth, seen in guesses[:right]:
            record.wrote(token, depth, seen)
        record.wrote(margins.best(rows[right]), model.shape.layers)
        record.cache.cut(start + right + 1)
        record.more["drafted"].append(len(guesses))
        record.more["accepted"].append(right)
        record.more["guesses"] += [
            [token, depth, int(place < right)] for place, (token, depth, _) in enumerate(guesses)
        ]
        record.more["entropies"] += [seen for _, _, seen in guesses]
    record.cut(count)
    return record
