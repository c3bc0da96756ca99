"""Knowledge distillation (arXiv 1503.02531): the student follows the teacher's whole distribution."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def distillation_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T^2 KL(teacher || student), both softened by T; logits [tokens, V]. T^2 keeps the gradient's size."""
    student_log = F.log_softmax(student / temperature, dim=-1)
    teacher_log = F.log_softmax(teacher / temperature, dim=-1)
    divergence = F.kl_div(student_log, teacher_log, log_target=True, reduction="batchmean")
    return temperature**2 * divergence


@torch.no_grad()
def teacher_logits(teacher, tokens: Tensor) -> Tensor:
    """[B, S, V]; a routed teacher decides by its threshold."""
    return teacher.logits(teacher(tokens, routing="threshold").hidden)
