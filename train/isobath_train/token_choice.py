"""Token-choice routing: each token chooses its depth once, at the block's input (MoR section 2.2.1)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .router import gate


@dataclass
class Choice:
    """The one router's scores and shares [B, S, N], and each token's last recursion [B, S], from 0."""

    z: Tensor
    shares: Tensor
    last: Tensor


def run(model, h: Tensor) -> tuple[Tensor, Choice]:
    """Runs the block over h [B, S, d]: token t runs recursions 0 to e_t without gates, then once
    h + w u with w its share and the block's input as residual. Causal as it is. Rows that have left are computed and
    masked."""
    config = model.config.router
    z = model.router(h)
    shares = gate(config, z)
    wanted = shares.detach() if model.router_bias is None else shares.detach() + model.router_bias
    last = wanted.argmax(dim=-1)
    u, slots = h, {}
    for recursion in range(model.config.recursion.count):
        runs = last >= recursion
        u = torch.where(runs.unsqueeze(-1), model.block(recursion, u, None, runs, slots), u)
    weight = 1.0 if config.gating == "additive" else shares.gather(-1, last.unsqueeze(-1)).to(h.dtype)
    return h + weight * u, Choice(z, shares, last)


def balancing_loss(choice: Choice) -> Tensor:
    """sum_i f_i P_i: f_i is N times the fraction of tokens that choose depth i, P_i the mean share of i."""
    count = choice.z.shape[-1]
    fraction = choice.last.flatten().bincount(minlength=count).to(choice.shares.dtype) / choice.last.numel()
    return (count * fraction * choice.shares.flatten(0, -2).mean(dim=0)).sum()


@torch.no_grad()
def update_bias(bias: Tensor, loads: Tensor, step: float) -> None:
    """Loss-free balancing (arXiv 2408.15664): depths [N] that are chosen too rarely become a little likelier."""
    bias += step * torch.sign(loads.float().mean() - loads)
