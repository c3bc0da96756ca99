"""Expert-choice routing: each recursion picks its tokens (MoR section 2.2.1).

In training the k best of a sequence run a recursion, and only those are computed. For text that is yet to be written
there is no such k: a token goes on where its own score is at least zero (`threshold`), which the auxiliary loss
trains the router for.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .router import gate


@dataclass
class Round:
    """What a router did at one recursion: scores of the tokens that were still active, and which it let through."""

    z: Tensor  # [B, A], the score that decides
    selected: Tensor  # [B, A] bool
    active: Tensor | None = None  # [B, A] bool: which entries count; None is all of them
    auxiliary: Tensor | None = None  # [B, A], the auxiliary router's scores
    positions: Tensor | None = None  # [B, A]; None is 0, 1, ...


def selected_count(capacity: float, tokens: int) -> int:
    """k = max(1, floor(c S)); S counts all tokens, not the active ones."""
    return max(1, int(capacity * tokens))


def best(z: Tensor, count: int) -> Tensor:
    """Indices [B, k] of the largest scores, in the order of positions; the earlier token wins a tie."""
    order = z.detach().sort(dim=-1, descending=True, stable=True).indices[:, :count]
    return order.sort(dim=-1).values


def rows_at(x: Tensor, index: Tensor) -> Tensor:
    """x [B, S, d] at index [B, k] -> [B, k, d], as one selection of rows."""
    batch, length, size = x.shape
    first = torch.arange(batch, device=x.device)[:, None] * length
    return x.reshape(-1, size).index_select(0, (index + first).flatten()).view(batch, -1, size)


def with_rows(x: Tensor, index: Tensor, rows: Tensor) -> Tensor:
    """x [B, S, d] with the rows at index [B, k] replaced by rows [B, k, d]."""
    batch, length, size = x.shape
    first = torch.arange(batch, device=x.device)[:, None] * length
    flat = x.reshape(-1, size).index_copy(0, (index + first).flatten(), rows.reshape(-1, size).to(x.dtype))
    return flat.view_as(x)


def scores(model, recursion: int, x: Tensor) -> tuple[Tensor, Tensor | None]:
    """Scores [B, A] of the main router and, where there is one, of the auxiliary router, which sees the hidden
    states but sends no gradient into them."""
    z = model.routers[recursion](x).squeeze(-1)
    if model.auxiliary_routers is None:
        return z, None
    return z, model.auxiliary_routers[recursion](x.detach()).squeeze(-1)


def gated(model, z: Tensor, x: Tensor, result: Tensor) -> Tensor:
    """h + g F(h) with the result F(h) [B, A, d]; `additive` gating leaves g out."""
    if model.config.router.gating == "additive":
        return x + result
    return x + gate(model.config.router, z).unsqueeze(-1).to(x.dtype) * result


def top_k(model, h: Tensor, capacities: list[float]) -> tuple[Tensor, list[Round]]:
    """Runs the block over h [B, S, d]; recursion r computes its k_r tokens alone. Not causal: a token's place among
    the best depends on later ones."""
    batch, tokens, _ = h.shape
    positions = torch.arange(tokens, device=h.device).expand(batch, tokens)
    x, rounds, slots = h, [], {}
    for recursion, capacity in enumerate(capacities):
        z, auxiliary = scores(model, recursion, x)
        count = min(selected_count(capacity, tokens), z.shape[1])
        index = best(z, count)
        chosen = torch.zeros_like(z, dtype=torch.bool).scatter_(1, index, True)
        rounds.append(Round(z, chosen, None, auxiliary, positions))
        if count == tokens:
            x = gated(model, z, x, model.block(recursion, x, None, None, slots))
            h = x
            continue
        positions_k, z_k = positions.gather(1, index), z.gather(1, index)
        if model.config.kv.mode == "share" and recursion == 0:
            # Deeper recursions attend to recursion 0's keys and values of all tokens, so all are computed.
            result = rows_at(model.block(recursion, x, None, None, slots), index)
            x = gated(model, z_k, rows_at(x, index), result)
        else:
            x = rows_at(x, index)
            x = gated(model, z_k, x, model.block(recursion, x, positions_k, None, slots))
        positions = positions_k
        h = with_rows(h, positions, x)
    return h, rounds


def threshold(model, h: Tensor, limit: float = 0.0, depth: int | None = None) -> tuple[Tensor, list[Round], Tensor]:
    """Runs the block over h [B, S, d] causally: a token goes on where its score is at least `limit`, or with `depth`
    exactly that many recursions. Everything is computed and then masked: this is for judging, not for speed.
    Returns the hidden states, the rounds and the depths [B, S]."""
    config = model.config.router
    active = torch.ones(h.shape[:2], dtype=torch.bool, device=h.device)
    taken = torch.zeros(h.shape[:2], dtype=torch.long, device=h.device)
    rounds, slots = [], {}
    for recursion in range(model.config.recursion.count):
        z, auxiliary = scores(model, recursion, h)
        decides = z if auxiliary is None else auxiliary
        selected = active & (decides >= limit)
        if recursion == 0 and not config.gate_first:
            selected = active
        if depth is not None:
            selected = torch.full_like(active, recursion < depth)
        rounds.append(Round(z, selected, active, auxiliary))
        result = gated(model, z, h, model.block(recursion, h, None, selected, slots))
        h = torch.where(selected.unsqueeze(-1), result, h)
        active, taken = selected, taken + selected
    return h, rounds, taken
