"""The head and the next-token loss in one, without ever holding all logits."""

from __future__ import annotations

import torch
from torch import Tensor

ROWS = 256  # logits at a time: 256 x 4096 numbers stay in a CPU's cache


class HeadLoss(torch.autograd.Function):
    """Mean cross-entropy in nats of hidden [T, d] under the head [V, d] against targets [T]. The gradients are made
    on the way forward, since the softmax is at hand then: p - onehot, times 1 / T."""

    @staticmethod
    def forward(context, hidden: Tensor, head: Tensor, targets: Tensor) -> Tensor:
        count, total = hidden.shape[0], hidden.new_zeros(())
        for_hidden, for_head = torch.empty_like(hidden), torch.zeros_like(head)
        for first in range(0, count, ROWS):
            rows = slice(first, first + ROWS)
            part, target = hidden[rows], targets[rows, None]
            scores = torch.log_softmax(part @ head.t(), dim=-1)
            total -= scores.gather(1, target).sum()
            scores.exp_().scatter_add_(1, target, scores.new_full((1, 1), -1.0).expand_as(target))
            torch.mm(scores, head, out=for_hidden[rows])
            for_head.addmm_(scores.t(), part)
        context.save_for_backward(for_hidden.div_(count), for_head.div_(count))
        return total / count

    @staticmethod
    def backward(context, gradient: Tensor):
        for_hidden, for_head = context.saved_tensors
        return for_hidden * gradient, for_head * gradient, None
