"""Judges a model on held-out text: by top-k as trained, by the causal threshold as used, and at every fixed depth."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .losses import agreement
from .model import Model


@torch.no_grad()
def mean_loss(model: Model, windows: Tensor, batch: int, **routing: Any) -> tuple[float, Tensor | None, list[float]]:
    """Mean loss in nats per token over windows [W, S + 1], the depths [W, S] where there are any, and the two means
    of `agreement`."""
    device = model.embedding.device
    total, depths, agrees = 0.0, [], [0.0, 0.0]
    for part in windows.split(batch):
        part = part.to(device)
        output = model(part[:, :-1], **routing)
        logits = model.logits(output.hidden).float().flatten(0, 1)
        total += float(F.cross_entropy(logits, part[:, 1:].flatten(), reduction="sum"))
        if output.depth is not None:
            depths.append(output.depth.cpu())
        elif output.rounds:
            agrees = [one + more * len(part) for one, more in zip(agrees, agreement(output), strict=True)]
    count = windows.shape[0] * (windows.shape[1] - 1)
    return total / count, torch.cat(depths) if depths else None, [one / len(windows) for one in agrees]


@torch.no_grad()
def exit_figures(model: Model, windows: Tensor, batch: int) -> dict[str, list[float]]:
    """For each number of layers from 1 to all: loss in nats per token, and how often its best token is the last
    layer's."""
    layers = model.config.model.num_hidden_layers
    total, same = [0.0] * layers, [0] * layers
    for part in windows.split(batch):
        part = part.to(model.embedding.device)
        output = model(part[:, :-1], exits=range(1, layers))
        last = model.logits(output.hidden).argmax(dim=-1)
        for index, hidden in enumerate([*output.exits.values(), output.hidden]):
            logits = model.logits(hidden).float()
            total[index] += float(F.cross_entropy(logits.flatten(0, 1), part[:, 1:].flatten(), reduction="sum"))
            same[index] += int((logits.argmax(dim=-1) == last).sum())
    count = windows.shape[0] * (windows.shape[1] - 1)
    return {
        "exit_losses": [round(one / count, 5) for one in total],
        "exit_agreements": [round(one / count, 5) for one in same],
    }


def depth_figures(depth: Tensor, count: int) -> dict[str, Any]:
    """Mean and shares of depths 0 to N."""
    shares = depth.flatten().bincount(minlength=count + 1) / depth.numel()
    return {
        "mean_depth": round(float(depth.float().mean()), 4),
        "depth_shares": [round(float(one), 4) for one in shares],
    }


def evaluate(
    model: Model, windows: Tensor, bytes_per_token: float | None, batch: int = 16, depths: bool = False
) -> dict[str, Any]:
    """Held-out figures. `loss` is that of the model as it is used: routed by threshold where it has expert routers."""
    was_training = model.training
    model.eval()
    router = model.config.router
    figures: dict[str, Any] = {}
    if model.config.layer_skip is not None:
        figures.update(exit_figures(model, windows, batch))
        loss = figures["exit_losses"][-1]
    elif router is not None and router.kind == "expert":
        loss, depth, _ = mean_loss(model, windows, batch, routing="threshold")
        figures["loss_top_k"], _, agrees = mean_loss(model, windows, batch, routing="top_k")
        figures["agreement"], figures["agreement_with_first"] = agrees
        count = model.config.recursion.count
        figures.update(depth_figures(depth, count))
        if depths:
            for fixed in range(1, count + 1):
                name = f"loss_at_depth_{fixed}"
                figures[name] = mean_loss(model, windows, batch, routing="threshold", depth=fixed)[0]
    else:
        loss, depth, _ = mean_loss(model, windows, batch)
        if depth is not None:
            figures.update(depth_figures(depth, model.config.recursion.count))
    figures = {"loss": loss, **figures}
    if bytes_per_token:
        figures["bits_per_byte"] = loss / math.log(2) / bytes_per_token
    model.train(was_training)
    return {name: round(value, 5) if isinstance(value, float) else value for name, value in figures.items()}
