"""Causal attention in bf16 on a CPU, by products of matrices: those have units of their own there (AMX), which
torch's own attention does not use."""

from __future__ import annotations

import torch
from torch import Tensor

ROWS = 128  # queries at a time: their scores stay in a CPU's cache


def blocks(length: int) -> list[tuple[slice, slice]]:
    """Rows of queries, and the keys that they may see."""
    return [(slice(first, first + ROWS), slice(0, min(first + ROWS, length))) for first in range(0, length, ROWS)]


def weights(q: Tensor, k: Tensor, rows: slice, scale: float) -> Tensor:
    """Softmax of a block, f32: q [N, G, R, h] and k [N, S, h] -> [N, G, R, S]."""
    scores = (q.flatten(1, 2) @ k.transpose(1, 2)).unflatten(1, q.shape[1:3]).float().mul_(scale)
    count = q.shape[2]
    hidden = torch.ones(count, count, dtype=torch.bool).triu(1)
    scores[..., rows.start :].masked_fill_(hidden, -torch.inf)
    return torch.softmax(scores, dim=-1)


class CausalAttention(torch.autograd.Function):
    """q [N, G, S, h] over keys and values [N, S, h], N counting samples and key heads, G the query heads of each."""

    @staticmethod
    def forward(context, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        scale, result = q.shape[-1] ** -0.5, torch.empty_like(q)
        context.save_for_backward(q, k, v)
        with torch.autocast("cpu", enabled=False):
            for rows, keys in blocks(q.shape[2]):
                share = weights(q[:, :, rows], k[:, keys], rows, scale).to(q.dtype)
                result[:, :, rows] = (share.flatten(1, 2) @ v[:, keys]).unflatten(1, share.shape[1:3])
        return result

    @staticmethod
    def backward(context, gradient: Tensor):
        q, k, v = context.saved_tensors
        scale, for_q = q.shape[-1] ** -0.5, torch.empty_like(q)
        for_k, for_v = (torch.zeros_like(one, dtype=torch.float32) for one in (k, v))
        with torch.autocast("cpu", enabled=False):
            for rows, keys in blocks(q.shape[2]):
                share = weights(q[:, :, rows], k[:, keys], rows, scale)
                come = gradient[:, :, rows].flatten(1, 2)
                for_v[:, keys] += share.to(q.dtype).flatten(1, 2).transpose(1, 2) @ come
                inner = (come @ v[:, keys].transpose(1, 2)).unflatten(1, share.shape[1:3]).float()
                inner = inner.sub_((inner * share).sum(dim=-1, keepdim=True)).mul_(share).mul_(scale)
                inner = inner.to(q.dtype).flatten(1, 2)
                for_q[:, :, rows] = (inner @ k[:, keys]).unflatten(1, share.shape[1:3])
                for_k[:, keys] += inner.transpose(1, 2) @ q[:, :, rows].flatten(1, 2)
        return for_q, for_k.to(k.dtype), for_v.to(v.dtype)


def causal_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """q [B, H, S, h], keys and values [B, K, S, h] -> [B, H, S, h]."""
    batch, heads = q.shape[:2]
    groups = q.unflatten(1, (k.shape[1], -1)).flatten(0, 1)
    result = CausalAttention.apply(groups, k.flatten(0, 1), v.flatten(0, 1))
    return result.unflatten(0, (batch, -1)).flatten(1, 2)
