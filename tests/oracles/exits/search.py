"""Looks for prompts on which no decision of any case stands near its border, so that rounding cannot turn it."""

import copy

import numpy as np

from .cases import CASES, run
from .free import Threshold, free
from .model import Model
from .record import Close, Margins, alone

FLOOR = 1e-3
# A text may write each of its tokens so often, on the mean.
REPEATS = 3
LENGTHS, COUNTS = [3, 5, 7, 9, 12, 14, 17], [24, 40, 31, 28, 36, 26, 33]


def clear(model: Model, prompt: list[int], count: int, learned: dict[str, Threshold]) -> dict[str, Threshold]:
    """Runs all cases that decide for a text alone; what the adaptive ones have learned then. Raises where one is close."""
    learned = copy.deepcopy(learned)
    for case in sorted(CASES, key=lambda case: "adaptive" not in case.settings):
        if case.settings.get("together"):
            continue
        margins = Margins(FLOOR)
        if case.name in learned:
            learned[case.name].margins = margins
            record = alone(free(model, prompt, count, case.settings, margins, learned[case.name]))
            # The next text starts with a fit that it cannot change.
            copy.deepcopy(learned[case.name]).next_text()
        else:
            record = run(model, case, [prompt], [count], margins)[0][0]
        if len(set(record.tokens)) * REPEATS < count:
            raise Close(f"{case.name} repeats itself")
    return learned


def prompts(model: Model, seed: int) -> list[list[int]]:
    """One prompt after the other; then all of them where they leave together. Raises where that is close: take another seed."""
    random, found = np.random.default_rng(seed), []
    learned = {case.name: Threshold(case.settings, Margins()) for case in CASES if case.settings.get("adaptive")}
    while len(found) < len(LENGTHS):
        prompt = random.integers(0, model.shape.vocabulary, LENGTHS[len(found)]).tolist()
        try:
            learned = clear(model, prompt, COUNTS[len(found)], learned)
        except Close:
            continue
        found.append(prompt)
        print(f"prompt {len(found)} of {len(LENGTHS)}", flush=True)
    for case in CASES:
        if case.settings.get("together"):
            run(model, case, found, COUNTS, Margins(FLOOR))
    return found
