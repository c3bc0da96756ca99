"""Reads the folder that the engine loads, as the start of a run: what `isobath convert` writes is trained further."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from .checkpoint import read_checkpoint
from .config import LINEARS, Config, KvConfig, LoraConfig, ModelConfig, RecursionConfig, RouterConfig, config_from_dict
from .export import dequantise_q8_0
from .model import Model
from .names import linear_path, load_canonical


def lora_config(scale: float, tensors: dict[str, Tensor]) -> LoraConfig:
    """Which linears have adapters, and their largest rank, is in the tensors alone."""
    ranks = {
        name: [one.shape[0] for key, one in tensors.items() if key.endswith(f"{linear_path(name)}.lora_A.weight")]
        for name in LINEARS
    }
    ranks = {name: max(found) for name, found in ranks.items() if found}
    if not ranks:
        raise ValueError("config.json has `isobath.lora`, but model.safetensors holds no adapters")
    return LoraConfig(max(ranks.values()), scale, list(ranks))


def training_config(values: dict[str, Any], tensors: dict[str, Tensor]) -> Config:
    """The settings of config.json, as far as this package trains such models."""
    fields = {one.name for one in dataclasses.fields(ModelConfig)} & set(values)
    config = Config(model=ModelConfig(**{name: values[name] for name in fields}))
    config.model.tie_word_embeddings = "lm_head.weight" not in tensors
    block = values.get("isobath", {})
    if recursion := block.get("recursion"):
        for name, only in (("share_attention", True), ("encoding", False)):
            if recursion.get(name, only) != only:
                raise ValueError(f"`isobath.recursion.{name}` is {recursion[name]}; such models are not trained here")
        config.recursion = RecursionConfig(
            recursion["count"], recursion["sharing"], recursion.get("share_norms", True)
        )
    if kv := block.get("kv"):
        if kv["mode"] == "hybrid":
            raise ValueError("`isobath.kv.mode` is hybrid; such models are not trained here")
        config.kv = KvConfig(kv["mode"], kv.get("count"), kv.get("sharing"))
    if "lora" in block:
        config.lora = lora_config(block["lora"].get("scale", 1.0), tensors)
    if router := block.get("router"):
        defaults = {"token": {"function": "softmax", "alpha": 1.0}}.get(router["kind"], {})
        config.router = RouterConfig(**{**defaults, **router})
    # Built anew from its parts, which checks it.
    return config_from_dict(config.to_dict())


def unpack(path: Path, tensors: dict[str, Tensor]) -> None:
    """Replaces matrices in q8_0 by what the engine reads of them."""
    with safe_open(path, "numpy") as file:
        notes = file.metadata() or {}
    for name, tensor in tensors.items():
        kind, _, shape = notes.get(f"isobath.{name}", "").partition(":")
        if kind == "q8_0":
            matrix = dequantise_q8_0(tensor.numpy(), *(int(one) for one in shape.split("x")))
            tensors[name] = torch.from_numpy(matrix)


def read_folder(path: Path, packed_too: bool = False) -> dict[str, Any]:
    """Config and weights of an engine's folder, in the form of a checkpoint. What starts a run must not be quantised;
    with `packed_too` q8_0 will do."""
    tensors = load_file(path / "model.safetensors")
    if packed_too:
        unpack(path / "model.safetensors", tensors)
    packed = next((name for name, one in tensors.items() if one.dtype == torch.uint8), None)
    if packed is not None:
        raise ValueError(f"{path} is quantised (`{packed}`); write it once more with --dtype f32")
    config = training_config(json.loads((path / "config.json").read_text()), tensors)
    model = Model(config)

    def read(name: str) -> Tensor:
        if name not in tensors:
            raise ValueError(f"{path} has no tensor `{name}`")
        return tensors[name].float()

    load_canonical(model, read)
    return {"config": config.to_dict(), "model": model.state_dict(), "step": 0}


def read_start(path: Path) -> dict[str, Any]:
    """A checkpoint, a run's folder, or the engine's folder."""
    return read_folder(path) if (path / "model.safetensors").is_file() else read_checkpoint(path)
