"""LayerSkip (arXiv 2404.16710): a model that can be left early. Samples skip layers at random, the later the likelier,
and layers before the last are trained to predict through the same final norm and head.

A layer l of L counts from 1 here; "exit l" is the state after l layers.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from .config import Config

CURRICULA = ("rotational", "gradual", "all")
WEIGHTS: dict[str, Callable[[int], float]] = {
    "uniform": lambda layer: 1.0,
    "sqrt": math.sqrt,
    "linear": float,
    "sum": lambda layer: layer * (layer - 1) / 2,
}
# Means over a whole run: of 2^x - 1 for x from 0 to 1, and of the exits that gradual has open.
RAMP_MEAN = 1 / math.log(2) - 1
GRADUAL_MEAN = 0.75


def dropout_rates(layers: int, highest: float) -> list[float]:
    """How often a sample skips each layer: 0 for the first, `highest` for the last, growing exponentially between."""
    return [highest * (2 ** (index / max(1, layers - 1)) - 1) for index in range(layers)]


def rates_at(config: Config, step: int, total: int) -> list[float]:
    """The rates of a step: those of the config, or on their way to them where they ramp."""
    skip = config.layer_skip
    share = 2 ** (step / max(1, total - 1)) - 1 if skip.ramp else 1.0
    return dropout_rates(config.model.num_hidden_layers, skip.dropout * min(1.0, share))


def exits_at(config: Config, step: int, total: int) -> list[int]:
    """The exits before the last layer that a step trains. Rotational: every R-th in turn. Gradual: from the last
    down, all of them from half of the run on."""
    layers, skip = config.model.num_hidden_layers, config.layer_skip
    inner = range(1, layers)
    if skip.curriculum == "rotational":
        return [layer for layer in inner if (layer - 1 - step) % skip.rotation == 0]
    if skip.curriculum == "gradual":
        return [layer for layer in inner if layer >= layers - 2 * layers * step // total]
    return list(inner)


def exit_weights(config: Config, exits: list[int]) -> tuple[list[float], float]:
    """Shares of the loss: of each of these exits, and of the last layer. They make 1."""
    skip, layers = config.layer_skip, config.model.num_hidden_layers
    weight = WEIGHTS[skip.weights]
    early = [skip.exit_scale * weight(layer) for layer in exits]
    last = weight(layers)
    whole = sum(early) + last
    return [one / whole for one in early], last / whole


def some_samples(apply: Callable[[Tensor], Tensor], x: Tensor, rate: float) -> Tensor:
    """`apply` on the samples of x [B, S, d] that do not skip; the others stay as they are and cost nothing."""
    if rate == 0.0:
        return apply(x)
    rows = (torch.rand(x.shape[0]) >= rate).nonzero().squeeze(1).to(x.device)
    if len(rows) == x.shape[0]:
        return apply(x)
    return x.index_copy(0, rows, apply(x[rows]).to(x.dtype)) if len(rows) else x


def mean_exits(config: Config) -> float:
    """Exits before the last layer that a step trains, over a whole run."""
    inner, skip = config.model.num_hidden_layers - 1, config.layer_skip
    shares = {"rotational": 1 / skip.rotation, "gradual": GRADUAL_MEAN, "all": 1.0}
    return inner * shares[skip.curriculum]


def mean_rates(config: Config) -> list[float]:
    """The rates over a whole run."""
    skip = config.layer_skip
    return dropout_rates(config.model.num_hidden_layers, skip.dropout * (RAMP_MEAN if skip.ramp else 1.0))
