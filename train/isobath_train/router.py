"""Routers: small networks that score tokens (MoR sections 2.2.1 and 4.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .config import RouterConfig


class Router(nn.Module):
    """`linear`: d -> outputs. `mlp`: d -> 2d, exact GELU, 2d -> outputs; `wide_mlp` is the same, as in the released
    code. The input is the raw residual stream divided by the temperature; no biases."""

    def __init__(self, network: str, size: int, outputs: int, deviation: float, temperature: float = 1.0) -> None:
        super().__init__()
        self.temperature = temperature
        if network == "linear":
            self.network = nn.Sequential(nn.Linear(size, outputs, bias=False))
        else:
            wide, narrow = nn.Linear(size, 2 * size, bias=False), nn.Linear(2 * size, outputs, bias=False)
            self.network = nn.Sequential(wide, nn.GELU(), narrow)
        for weight in self.parameters():
            nn.init.normal_(weight, std=deviation)

    def forward(self, x: Tensor) -> Tensor:
        """[.., d] -> [.., outputs] in f32 at least, so that a selection does not hang on 16-bit ties."""
        with torch.autocast(x.device.type, enabled=False):
            x = x.float() if x.element_size() < 4 else x
            return self.network(x if self.temperature == 1.0 else x / self.temperature)


def gate(config: RouterConfig, z: Tensor) -> Tensor:
    """What a round's output is multiplied by. Expert: one z per token. Token: z [.., N], softmax over the last."""
    if config.function == "sigmoid":
        return config.alpha * z.sigmoid()
    if config.function == "tanh":
        return config.alpha * z.tanh()
    if config.function == "softmax":
        return config.alpha * z.softmax(dim=-1)
    return z
