"""Vectors of rules that need no model: Learn-then-Test, and FREE's adaptive threshold."""

import numpy as np

from .calm import learn_then_test
from .free import Threshold
from .record import Margins

# Learn-then-Test: name, prompts, mean loss of each candidate, delta, epsilon.
LOSSES = [
    ("in_the_middle", 200, [0.01, 0.03, 0.06, 0.12, 0.3], 0.2, 0.05), ("first_fails", 20, [0.1, 0.2], 0.2, 0.05),
    ("all_pass", 150, [0.02, 0.05, 0.08], 0.25, 0.1), ("recovers_too_late", 120, [0.05, 0.4, 0.05], 0.25, 0.05),
    ("loss_above_delta", 60, [0.5, 0.1], 0.3, 0.5), ("no_loss", 12, [0.0, 0.0], 0.5, 0.01),
]  # fmt: skip

# FREE: name, wrong guesses and the Beta law of their confidences, right guesses and theirs.
HISTORIES = [
    ("apart", 30, (2, 6), 40, (6, 2)), ("alike", 50, (3, 3), 50, (4, 3)), ("few_right", 60, (2, 4), 4, (5, 2)),
    ("wrong_are_sure", 25, (8, 2), 25, (2, 5)), ("to_the_ends", 20, (0.3, 0.5), 40, (0.6, 0.1)),
    ("one_class", 20, (2, 4), 0, (1, 1)), ("empty", 0, (1, 1), 0, (1, 1)), ("one_each", 1, (2, 2), 1, (2, 2)),
]  # fmt: skip


def learned_thresholds(margins: Margins) -> list[dict]:
    """Tables of losses of prompts under each threshold, and which threshold is taken."""
    random, found = np.random.default_rng(3), []
    for name, prompts, means, delta, epsilon in LOSSES:
        losses = np.stack([np.clip(mean * random.uniform(0.2, 1.8, prompts), 0, 1) for mean in means], 1).round(3)
        candidates = np.linspace(0.9, 0.1, len(means)).round(3)
        chosen, values = learn_then_test(losses, delta, epsilon)
        for value in values:
            margins.note("p_value", abs(value - epsilon))
        found.append({
            "name": name, "delta": delta, "epsilon": epsilon, "candidates": candidates.tolist(), "chosen": chosen,
            "threshold": None if chosen is None else float(candidates[chosen]), "p_values": values, "losses": losses.tolist(),
        })  # fmt: skip
    return found


def adaptive_thresholds(margins: Margins) -> list[dict]:
    """What is fitted to confidences of wrong (0) and right (1) guesses; 0.8 stays where nothing can be."""
    random, found = np.random.default_rng(5), []
    for name, wrong, law, right, other in HISTORIES:
        pairs = [(value, False) for value in random.beta(*law, wrong)]
        pairs += [(value, True) for value in random.beta(*other, right)]
        threshold = Threshold({"threshold": 0.8, "adaptive": "all"}, margins)
        threshold.history = [(float(f"{value:.6f}"), label) for value, label in pairs]
        threshold.next_text()
        history = [[value, int(label)] for value, label in threshold.history]
        found.append({"name": name, **threshold.fits[0], "history": history})
    return found
