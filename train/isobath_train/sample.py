"""Writes text with a model, for a quick look; the engine is far faster."""

from __future__ import annotations

import torch

from .model import Model


@torch.no_grad()
def generate(
    model: Model, tokens: list[int], count: int, temperature: float = 0.0, seed: int = 0, end: int | None = 0
) -> tuple[list[int], list[int]]:
    """Continues `tokens` by up to `count`, causally routed; returns the new tokens and the depth of the position
    that each was drawn from. Temperature 0 takes the most probable."""
    model.eval()
    random = torch.Generator().manual_seed(seed)
    tokens, written, depths = list(tokens), [], []
    for _ in range(count):
        context = torch.tensor([tokens[-model.config.model.max_position_embeddings :]], device=model.embedding.device)
        output = model(context, routing="threshold")
        logits = model.logits(output.hidden[0, -1]).float().cpu()
        if temperature == 0.0:
            token = int(logits.argmax())
        else:
            token = int(torch.multinomial((logits / temperature).softmax(dim=-1), 1, generator=random))
        if token == end:
            break
        tokens.append(token)
        written.append(token)
        depths.append(int(output.depth[0, -1]) if output.depth is not None else 0)
    return written, depths
