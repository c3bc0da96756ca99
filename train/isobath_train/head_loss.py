"""The head and the next-token loss in one, without ever holding all logits."""

from __future__ import annotations

import torch
from torch import Tensor

ROWS = 256  # logits at a time: 256 x 4096 numbers stay in a CPU's cache


class HeadLoss(torch.autograd.Function):
    """Mean cross-entropy in nats of hidden [T, d] under the head [V, d] against targets [T]. The gradients are made
    on the way forward, since the softmax is at hand then: p - onehot, times 1 / T. Under autocast the products are
    of its type and their sums f32."""

    @staticmethod
    def forward(context, hidden: Tensor, head: Tensor, targets: Tensor) -> Tensor:
        kind = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else hidden.dtype
        wide = torch.promote_types(hidden.dtype, torch.float32)
        count, total = hidden.shape[0], torch.zeros((), dtype=wide)
        narrow, narrow_head = hidden.to(kind), head.to(kind)
        for_hidden, for_head = torch.empty_like(hidden), torch.zeros_like(head)
        with torch.autocast("cpu", enabled=False):
            for first in range(0, count, ROWS):
                rows = slice(first, first + ROWS)
                part, target = narrow[rows], targets[rows, None]
                scores = torch.log_softmax((part @ narrow_head.t()).to(wide), dim=-1)
                total -= scores.gather(1, target).sum()
                scores.exp_().scatter_add_(1, target, scores.new_full((1, 1), -1.0).expand_as(target))
                scores = scores.to(kind)
                for_hidden[rows] = scores @ narrow_head
                for_head += scores.t() @ part
        context.save_for_backward(for_hidden.div_(count), for_head.div_(count))
        return total / count

    @staticmethod
    def backward(context, gradient: Tensor):
        for_hidden, for_head = context.saved_tensors
        return for_hidden * gradient, for_head * gradient, None
