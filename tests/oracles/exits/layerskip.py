"""LayerSkip: one exit, whose guesses the deeper layers check some at a time; or, unchecked, are taken as they come.

Settings: `shallow` (depth of the exit), `drafts` (guesses of a round; 0: never checked).
"""

import numpy as np

from .model import Model
from .plain import first_token
from .record import Margins, Record


def unchecked(model: Model, prompt: list[int], count: int, settings: dict, margins: Margins):
    record, shallow = Record(), settings["shallow"]
    first_token(model, prompt, record, margins)
    while len(record.tokens) < count:
        yield
        position = len(prompt) + len(record.tokens) - 1
        row = model.run(model.embed(record.tokens[-1:]), [position], record.cache, 0, shallow)
        record.wrote(margins.best(model.logits(row[0])), shallow)
    return record


def checked(model: Model, prompt: list[int], count: int, settings: dict, margins: Margins):
    """`accepted`: of each round. `guesses`: of each guess its token, and whether it held."""
    record, shallow = Record(), settings["shallow"]
    record.more |= {"accepted": [], "guesses": []}
    first_token(model, prompt, record, margins)
    while len(record.tokens) < count:
        yield
        start, tokens, states = len(prompt) + len(record.tokens) - 1, record.tokens[-1:], []
        for place in range(settings["drafts"] + 1):
            row = model.run(model.embed(tokens[-1:]), [start + place], record.cache, 0, shallow)[0]
            states.append(row)
            if place < settings["drafts"]:
                tokens.append(margins.best(model.logits(row)))
        positions = start + np.arange(len(states))
        rows = model.logits(model.run(np.stack(states), positions, record.cache, shallow))
        guesses, right = tokens[1:], 0
        while right < len(guesses) and margins.best(rows[right]) == guesses[right]:
            right += 1
        for token in guesses[:right]:
            record.wrote(token, shallow)
        record.wrote(margins.best(rows[right]), model.shape.layers)
        record.cache.cut(start + right + 1)
        record.more["accepted"].append(right)
        record.more["guesses"] += [[token, int(place < right)] for place, token in enumerate(guesses)]
    record.cut(count)
    return record


def layerskip(model: Model, prompt: list[int], count: int, settings: dict, margins: Margins):
    return (checked if settings["drafts"] else unchecked)(model, prompt, count, settings, margins)
