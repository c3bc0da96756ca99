"""How the learning rate and the capacities change while training goes on."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass


@dataclass
class Schedule:
    """Warm-up, stable, decay (MoR appendix B): linear up, level, linear down from `decay_start` to `total`."""

    peak: float
    final: float
    warmup: int
    decay_start: int
    total: int

    def learning_rate(self, step: int) -> float:
        """For the step with this number, from 0."""
        if step < self.warmup:
            return self.peak * (step + 1) / self.warmup
        if step < self.decay_start:
            return self.peak
        share = (self.total - step) / max(1, self.total - self.decay_start)
        return self.final + (self.peak - self.final) * max(0.0, share)

    def to_dict(self) -> dict:
        return asdict(self)


def capacities_at(step: int, final: list[float], warmup_steps: int) -> list[float]:
    """c_r(t) = c_r + (1 - c_r) (1 + cos(pi min(1, t/T))) / 2: all tokens run everything first, then ever fewer."""
    if warmup_steps <= 0 or step >= warmup_steps:
        return list(final)
    rest = 0.5 * (1 + math.cos(math.pi * min(1.0, step / warmup_steps)))
    return [capacity + (1 - capacity) * rest for capacity in final]
