"""What training minimises."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .config import Config
from .distil import distillation_loss
from .head_loss import HeadLoss
from .layer_skip import exit_weights
from .model import Model, Output
from .token_choice import balancing_loss


@dataclass
class Losses:
    """`total` is what is differentiated; the others are its parts, for the log. `language` is the plain next-token
    loss in nats, `exits` the same after fewer layers."""

    total: Tensor
    language: Tensor
    router: Tensor
    auxiliary: Tensor
    exits: dict[int, Tensor]


def binary_loss(z: Tensor, selected: Tensor) -> Tensor:
    """Cross-entropy of sigmoid(z) against the selection, mean over the active tokens."""
    return F.binary_cross_entropy_with_logits(z, selected.to(z.dtype))


def router_losses(config: Config, output: Output) -> tuple[Tensor, Tensor, Tensor]:
    """Three scalars: the router's own loss with its coefficient, the auxiliary routers' (which train on nothing else),
    and the first one bare, for the log."""
    zero = output.hidden.new_zeros((), dtype=torch.float32)
    router = config.router
    if router is None:
        return zero, zero, zero
    if router.kind == "token":
        balance = balancing_loss(output.choice) if router.balancing == "loss" else zero
        z_loss = output.choice.z.logsumexp(dim=-1).square().mean()
        return router.balancing_coefficient * balance + router.z_coefficient * z_loss, zero, balance
    bare = sum((binary_loss(one.auxiliary if router.auxiliary else one.z, one.selected) for one in output.rounds), zero)
    # The logsumexp of one logit is that logit.
    z_loss = sum((one.z.square().mean() for one in output.rounds), zero) if router.z_coefficient else zero
    if router.auxiliary:
        return router.z_coefficient * z_loss, bare, bare
    return router.auxiliary_coefficient * bare + router.z_coefficient * z_loss, zero, bare


def next_token_loss(model: Model, hidden: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy of normed states [B, S, d] under the head."""
    if hidden.device.type == "cpu":
        return HeadLoss.apply(hidden.flatten(0, 1), model.head_weight(), targets.flatten())
    return F.cross_entropy(model.logits(hidden).flatten(0, 1).float(), targets.flatten())


def losses(model: Model, output: Output, targets: Tensor, teacher: Tensor | None = None) -> Losses:
    """`targets` [B, S]; `teacher` [B, S, V] are a teacher's logits."""
    config = model.config
    total = language = next_token_loss(model, output.hidden, targets)
    exits = {layer: next_token_loss(model, hidden, targets) for layer, hidden in output.exits.items()}
    if exits:
        early, last = exit_weights(config, list(exits))
        total = last * language + sum(weight * one for weight, one in zip(early, exits.values(), strict=True))
    if teacher is not None:
        distil = config.distil
        logits = model.logits(output.hidden).float().flatten(0, 1)
        followed = distillation_loss(logits, teacher.float().flatten(0, 1), distil.temperature)
        total = (1 - distil.weight) * language + distil.weight * followed
    weighted, auxiliary, bare = router_losses(config, output)
    exits = {layer: one.detach() for layer, one in exits.items()}
    return Losses(total + weighted + auxiliary, language.detach(), bare.detach(), auxiliary.detach(), exits)


def agreement(output: Output) -> tuple[float, float]:
    """How often the causal rule z >= 0 decides as top-k did, over active tokens: after recursion 0, and with it.
    Recursion 0 lets all through in the usual recipe, so it says little."""
    right, count, right_first, count_first = 0, 0, 0, 0
    for number, one in enumerate(output.rounds):
        decides = one.z if one.auxiliary is None else one.auxiliary
        same = int(((decides >= 0) == one.selected).sum())
        if number == 0:
            right_first, count_first = same, one.z.numel()
        else:
            right, count = right + same, count + one.z.numel()
    return right / max(1, count), (right + right_first) / max(1, count + count_first)
