"""Thresholds of uncertainty for a wanted agreement, from samples of (uncertainty, was it right)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

LEVELS = (0.60, 0.65, 0.70, 0.75, 0.80, 0.85, 0.90, 0.95, 0.99)
POLICIES = ("max_coverage", "min_coverage", "midpoint", "platt")
NEVER = -1.0  # no entropy lies below it, so such an exit is off


def running_agreement(uncertain: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Uncertainties from small to large, and the share that is right up to each. Equal ones count together."""
    values, order = uncertain.double().sort(stable=True)
    share = right[order].double().cumsum(0) / torch.arange(1, len(values) + 1)
    last = torch.ones(len(values), dtype=torch.bool)
    last[:-1] = values[1:] > values[:-1]
    return values[last], share[last]


def fit_logistic(uncertain: Tensor, right: Tensor) -> tuple[float, float]:
    """a, b of P(right) = sigmoid(a + b u), by Newton's method with a light ridge."""
    u, y = uncertain.double(), right.double()
    inputs = torch.stack([torch.ones_like(u), u], dim=1)
    weight = torch.zeros(2, dtype=torch.float64)
    for _ in range(50):
        p = torch.sigmoid(inputs @ weight)
        gradient = inputs.t() @ (y - p) - 1e-3 * weight
        curvature = inputs.t() @ (inputs * (p * (1 - p))[:, None]) + 1e-3 * torch.eye(2, dtype=torch.float64)
        move = torch.linalg.solve(curvature, gradient)
        weight = weight + move.clamp(-5, 5)
        if float(move.abs().max()) < 1e-9:
            break
    return float(weight[0]), float(weight[1])


def threshold(values: Tensor, share: Tensor, level: float, policy: str) -> float:
    """`max_coverage`: the largest value up to which the share is enough; `min_coverage`: the last value before it
    first is not; `midpoint`: between them. An exit is taken below the threshold, so it lies just above its value."""
    enough = share >= level
    if not bool(enough.any()):
        return NEVER
    largest = float(values[enough.nonzero()[-1, 0]])
    fails = (~enough).nonzero()
    first = int(fails[0, 0]) if len(fails) else len(values)
    smallest = float(values[first - 1]) if first > 0 else NEVER
    if policy == "midpoint" and smallest != NEVER:
        chosen = (largest + smallest) / 2
    else:
        chosen = largest if policy == "max_coverage" else smallest
    return chosen if chosen == NEVER else math.nextafter(chosen, math.inf)


def thresholds(uncertain: Tensor, right: Tensor, policy: str = "max_coverage") -> list[float]:
    """One for each of LEVELS; NEVER where no sample qualifies."""
    if policy not in POLICIES:
        raise ValueError(f"policy is {policy!r}; one of {', '.join(POLICIES)}")
    if policy == "platt":
        a, b = fit_logistic(uncertain, right)
        wanted = [math.log(level / (1 - level)) for level in LEVELS]
        return [(one - a) / b if b < 0 and one < a else NEVER for one in wanted]
    values, share = running_agreement(uncertain, right)
    return [threshold(values, share, level, policy) for level in LEVELS]


def coverage(uncertain: Tensor, limit: float) -> float:
    """Share of the samples below a threshold."""
    return round(float((uncertain.double() < limit).double().mean()), 5)
