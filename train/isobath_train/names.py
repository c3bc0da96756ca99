"""Between the engine's tensor names (docs/models.md) and the model's parameters."""

from __future__ import annotations

from typing import Callable

import torch
from torch import Tensor

from .config import LINEARS
from .model import Model

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")


def linear_path(name: str) -> str:
    return f"self_attn.{name}" if name in ATTENTION else f"mlp.{name}"


def makes_keys(model: Model, unique: int) -> bool:
    """Whether some unrolled layer with these parameters makes its own keys and values."""
    if model.kv_sharing is None:
        return True
    slots = model.kv_sharing.unique
    return any(slots[layer] == layer for layer, one in enumerate(model.sharing.unique) if one == unique)


def router_tensors(model: Model) -> dict[str, Tensor]:
    tensors = {}

    def add(prefix: str, router) -> None:
        single = len(router.network) == 1
        for place, weight in router.network.named_parameters():
            tensors[f"{prefix}.weight" if single else f"{prefix}.{place}"] = weight

    for kind, routers in (("routers", model.routers), ("auxiliary_routers", model.auxiliary_routers)):
        for recursion, router in enumerate(routers or []):
            add(f"model.{kind}.{recursion}", router)
    if model.router is not None:
        add("model.router", model.router)
    if model.router_bias is not None:
        tensors["model.router.bias"] = model.router_bias
    return tensors


def canonical_tensors(model: Model) -> dict[str, Tensor]:
    """Every tensor that the engine asks for, under its name, as a view of the model's own storage."""
    tensors = {"model.embed_tokens.weight": model.embedding.data, "model.norm.weight": model.final_norm.weight.data}
    if model.head is not None:
        tensors["lm_head.weight"] = model.head.data
    for unique, linears in model.linears.items():
        for name in LINEARS:
            if name in ("k_proj", "v_proj") and not makes_keys(model, int(unique)):
                continue
            weight, rows = linears.rows(name)
            tensors[f"model.layers.{unique}.{linear_path(name)}.weight"] = weight.data[rows]
    for index, norms in model.norms.items():
        tensors[f"model.layers.{index}.input_layernorm.weight"] = norms.attention.weight.data
        tensors[f"model.layers.{index}.post_attention_layernorm.weight"] = norms.feed_forward.weight.data
    for layer, adapters in model.adapters.items():
        for name, adapter in adapters.items():
            prefix = f"model.layers.{layer}.{linear_path(name)}"
            tensors[f"{prefix}.lora_A.weight"] = adapter.a.data
            tensors[f"{prefix}.lora_B.weight"] = adapter.b.data
    tensors.update({name: one.detach() for name, one in router_tensors(model).items()})
    return tensors


@torch.no_grad()
def load_canonical(model: Model, read: Callable[[str], Tensor]) -> None:
    """Fills the model; `read` gives the tensor of a name."""
    for name, place in canonical_tensors(model).items():
        tensor = read(name)
        if tensor.shape != place.shape:
            raise ValueError(f"tensor `{name}` has shape {list(tensor.shape)}, the model wants {list(place.shape)}")
        place.copy_(tensor)
