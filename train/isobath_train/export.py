"""Writes the folder that the engine loads: config.json with the isobath block, tokenizer.json, model.safetensors."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save_file
from torch import Tensor

from .config import Config
from .model import Model
from .names import canonical_tensors

BLOCK = 32  # numbers that share a scale in q8_0


def quantise_q8_0(matrix: np.ndarray) -> np.ndarray:
    """ggml's q8_0: rows of blocks of 32 numbers, an f16 scale max|x| / 127 and 32 signed bytes. Returns the bytes."""
    blocks = matrix.astype(np.float32).reshape(-1, BLOCK)
    scale = np.abs(blocks).max(axis=1, keepdims=True) / np.float32(127)
    inverse = np.divide(np.float32(1), scale, out=np.zeros_like(scale), where=scale > 0)
    scaled = blocks * inverse
    rounded = np.trunc(scaled + np.copysign(np.float32(0.5), scaled)).astype(np.int8)
    joined = np.concatenate([scale.astype(np.float16).view(np.uint8), rounded.view(np.uint8)], axis=1)
    return joined.reshape(-1)


def dequantise_q8_0(data: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """The matrix of bytes that `quantise_q8_0` made, as the engine reads it."""
    blocks = data.reshape(-1, 2 + BLOCK)
    scale = blocks[:, :2].copy().view(np.float16).astype(np.float32)
    return (scale * blocks[:, 2:].copy().view(np.int8)).reshape(rows, columns)


def isobath_block(config: Config) -> dict[str, Any]:
    """The part of config.json that says how layers share parameters and who decides on depth (docs/models.md)."""
    block: dict[str, Any] = {"version": 1}
    recursion, router = config.recursion, config.router
    if recursion is not None:
        block["recursion"] = {
            "count": recursion.count, "sharing": recursion.sharing, "share_norms": recursion.share_norms,
        }  # fmt: skip
    if config.kv.mode == "share":
        block["kv"] = {
            "mode": "share",
            "count": config.kv.count or recursion.count,
            "sharing": config.kv.sharing or recursion.sharing,
        }
    if config.lora is not None:
        block["lora"] = {"scale": config.lora.scale}
    if router is not None:
        block["router"] = {
            "kind": router.kind, "network": router.network, "function": router.function, "alpha": router.alpha,
            "gating": router.gating, "temperature": router.temperature,
        }  # fmt: skip
        if router.kind == "expert":
            block["router"].update(
                auxiliary=router.auxiliary, gate_first=router.gate_first, capacity=config.capacities()
            )
        else:
            block["router"]["bias"] = router.bias or router.balancing == "loss_free"
    return block


def engine_config(config: Config) -> dict[str, Any]:
    model = config.model
    values = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
        "hidden_size": model.hidden_size, "intermediate_size": model.intermediate_size,
        "num_hidden_layers": model.num_hidden_layers, "num_attention_heads": model.num_attention_heads,
        "num_key_value_heads": model.num_key_value_heads, "head_dim": model.head_dim, "vocab_size": model.vocab_size,
        "max_position_embeddings": model.max_position_embeddings, "rms_norm_eps": model.rms_norm_eps,
        "rope_theta": model.rope_theta, "tie_word_embeddings": model.tie_word_embeddings,
        "bos_token_id": 0, "eos_token_id": 0,
    }  # fmt: skip
    block = isobath_block(config)
    if len(block) > 1:
        values["isobath"] = block
    return values


def stored(name: str, tensor: Tensor, dtype: str, metadata: dict[str, str]) -> np.ndarray:
    """A tensor as it lies in the file. Norms and routers are few numbers that decide much: they stay f32 unless all
    is f16."""
    values = tensor.detach().float().cpu().numpy()
    if dtype == "f32":
        return values
    if dtype == "f16":
        return values.astype(np.float16)
    if values.ndim == 2 and "router" not in name and values.shape[1] % BLOCK == 0:
        metadata[f"isobath.{name}"] = f"q8_0:{values.shape[0]}x{values.shape[1]}"
        return quantise_q8_0(values)
    return values


@torch.no_grad()
def export_folder(model: Model, config: Config, out: Path, dtype: str, tokenizer: Path | None) -> None:
    """Writes the three files; `dtype` is f32, f16 or q8_0."""
    if dtype not in ("f32", "f16", "q8_0"):
        raise ValueError(f"dtype is {dtype!r}; f32, f16 or q8_0")
    out.mkdir(parents=True, exist_ok=True)
    metadata = {"format": "pt"}
    tensors = {
        name: np.ascontiguousarray(stored(name, one, dtype, metadata)) for name, one in canonical_tensors(model).items()
    }
    save_file(tensors, out / "model.safetensors", metadata)
    (out / "model.safetensors").chmod(0o644)
    (out / "config.json").write_text(json.dumps(engine_config(config), indent=2) + "\n")
    if tokenizer is not None:
        shutil.copyfile(tokenizer, out / "tokenizer.json")
