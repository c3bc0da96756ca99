"""Reads models under the names that the released MoR code gives its tensors, with its settings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from .config import Config, KvConfig, LoraConfig, ModelConfig, RecursionConfig, RouterConfig
from .model import Model
from .names import load_canonical

SIZES = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "head_dim", "rms_norm_eps", "rope_theta",
)  # fmt: skip


def router_config(mor: dict[str, Any]) -> RouterConfig:
    """Of a `mor` part; settings of the kind that is not active are ignored."""
    kind, own = mor["type"], mor[mor["type"]]
    router = RouterConfig(
        kind=kind,
        network=mor["router_type"],
        function=own["router_func"] or "none",
        alpha=own["alpha"],
        gating=own["gating"],
        temperature=mor["temp"],
        z_coefficient=mor["z_coeff"] if mor["z_loss"] else 0.0,
    )
    if kind == "expert":
        router.auxiliary, router.capacity = own["sampling"] == "aux_router", mor["capacity"]
        router.auxiliary_coefficient = own["coeff"]
    else:
        router.balancing, router.balancing_coefficient, router.bias_update = own["balancing"], own["coeff"], own["u"]
    return router


def official_config(settings: dict[str, Any], tied: bool, rank: int | None) -> Config:
    """`settings` has the parts model, recursive, kv_sharing, mor; `rank` is that of the adapters, where there are."""
    recursive, kv, mor = settings["recursive"], settings["kv_sharing"], settings["mor"]
    config = Config(model=ModelConfig(**{name: settings["model"][name] for name in SIZES}))
    config.model.tie_word_embeddings = tied
    if recursive["enable"]:
        config.recursion = RecursionConfig(recursive["num_recursion"], recursive["sharing"], recursive["ln_share"])
    if kv["enable"]:
        if kv["update_cache"]:
            raise ValueError("hybrid keys and values (update_cache) are not supported here")
        config.kv = KvConfig("share", kv["num_recursion"], kv["sharing"])
    if mor["enable"]:
        config.router = router_config(mor)
    if rank is not None:
        config.lora = LoraConfig(rank, settings["relaxation"]["scaling"])
    return config


def official_prefix(config: Config, layer: int) -> str:
    """What the code puts before the names of an unrolled layer."""
    recursion, router = config.recursion, config.router
    if router is None:
        return f"model.layers.{layer}"
    middle = 1 if recursion.sharing.startswith("middle") else 0
    layers = config.model.num_hidden_layers
    depth = (layers - 2 * middle) // recursion.count
    if middle and layer in (0, layers - 1):
        last = recursion.count + 1 if router.kind == "expert" else 2
        return f"model.layers.{0 if layer == 0 else last}"
    round_, place = divmod(layer - middle, depth)
    if router.kind == "expert":
        return f"model.layers.{round_ + middle}.block.{place}"
    return f"model.layers.{middle}.block_list.{round_}.{place}"


def official_name(config: Config, name: str) -> str:
    """The released code's name of an engine tensor."""
    middle = 1 if config.recursion and config.recursion.sharing.startswith("middle") else 0
    if found := re.fullmatch(r"model\.layers\.(\d+)\.(.*)", name):
        return f"{official_prefix(config, int(found[1]))}.{found[2]}"
    if found := re.fullmatch(r"model\.(routers|auxiliary_routers)\.(\d+)\.(.*)", name):
        kind = "mor_router" if found[1] == "routers" else "mlp_router"
        return f"model.layers.{int(found[2]) + middle}.{kind}.router.{found[3]}"
    if name == "model.router.bias":
        return f"model.layers.{middle}.router_bias"
    if found := re.fullmatch(r"model\.router\.(.*)", name):
        return f"model.layers.{middle}.mor_router.router.{found[1]}"
    return name


def load_official(config: Config, tensors: dict[str, Tensor]) -> Model:
    """A model with the given weights; adapters stand under the unrolled layer without further prefix."""
    model = Model(config)

    def read(name: str) -> Tensor:
        return tensors[name if ".lora_" in name else official_name(config, name)].float()

    load_canonical(model, read)
    return model.eval()


def read_weights(folder: Path) -> dict[str, Tensor]:
    """All tensors of a folder: weights and, where there are, adapters."""
    tensors = load_file(folder / "weights.safetensors")
    if (folder / "lora.safetensors").is_file():
        tensors.update(load_file(folder / "lora.safetensors"))
    return tensors
