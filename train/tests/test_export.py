"""An exported folder is what the engine reads, and the engine writes what this package writes."""

import json
import os
import subprocess

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from isobath_train.config import KvConfig, LoraConfig, RecursionConfig, RouterConfig
from isobath_train.export import BLOCK, dequantise_q8_0, export_folder, isobath_block, quantise_q8_0
from isobath_train.model import Model
from isobath_train.names import canonical_tensors, load_canonical
from isobath_train.sample import generate
from isobath_train.trainer import Trainer

BINARY = os.environ.get("ISOBATH_BIN")
needs_engine = pytest.mark.skipif(not BINARY, reason="name the engine's binary in ISOBATH_BIN to compare with it")


def test_q8_0():
    random = np.random.default_rng(3)
    matrix = random.normal(size=(6, 96)).astype(np.float32)
    matrix[2, 32:64] = 0
    data = quantise_q8_0(matrix)
    assert data.dtype == np.uint8 and data.size == 6 * 3 * 34
    back = dequantise_q8_0(data, 6, 96)
    limit = np.abs(matrix.reshape(-1, BLOCK)).max(axis=1) / 127
    error = np.abs(back - matrix).reshape(-1, BLOCK).max(axis=1)
    # Half a step, and what rounding the scale to 11 bits adds.
    assert (error <= limit * (0.5 + 127 / 2048) + 1e-9).all()


def test_folder(tiny, tmp_path, corpus):
    torch.manual_seed(1)
    model = Model(tiny)
    for dtype, kind in (("f32", np.float32), ("f16", np.float16), ("q8_0", np.uint8)):
        folder = tmp_path / dtype
        export_folder(model, tiny, folder, dtype, corpus / "tokenizer.json")
        assert {one.name for one in folder.iterdir()} == {"config.json", "tokenizer.json", "model.safetensors"}
        tensors = load_file(folder / "model.safetensors")
        assert set(tensors) == set(canonical_tensors(model))
        name = "model.layers.1.mlp.up_proj.weight"
        assert tensors[name].dtype == kind
        if dtype == "q8_0":
            with safe_open(folder / "model.safetensors", "numpy") as file:
                assert file.metadata()[f"isobath.{name}"] == "q8_0:128x64"
    config = json.loads((tmp_path / "f32" / "config.json").read_text())
    assert config["isobath"]["router"]["capacity"] == pytest.approx([1, 2 / 3, 1 / 3])
    assert config["isobath"]["recursion"] == {"count": 3, "sharing": "middle_cycle", "share_norms": True}


def test_names_read_back(tiny):
    mlp = RouterConfig(network="mlp", auxiliary=True)
    for change in ({}, {"router": None, "lora": LoraConfig(4)}, {"router": mlp, "lora": None}):
        for name, value in change.items():
            setattr(tiny, name, value)
        one, other = Model(tiny), Model(tiny)
        tensors = canonical_tensors(one)
        load_canonical(other, tensors.__getitem__)
        for left, right in zip(one.state_dict().values(), other.state_dict().values(), strict=True):
            assert torch.equal(left, right)


def test_keys_that_nobody_makes_are_left_out(tiny):
    """With shared keys and values, later layers of their own weights make none."""
    tiny.recursion, tiny.router = RecursionConfig(3, "middle_cycle"), None
    tiny.kv = KvConfig("share")
    assert "model.layers.1.self_attn.k_proj.weight" in canonical_tensors(Model(tiny))
    tiny.recursion, tiny.kv = None, KvConfig("share", 3, "middle_cycle")
    names = canonical_tensors(Model(tiny))
    assert "model.layers.1.self_attn.k_proj.weight" in names and "model.layers.2.self_attn.k_proj.weight" not in names
    assert isobath_block(tiny)["kv"] == {"mode": "share", "count": 3, "sharing": "middle_cycle"}


def variants():
    yield "expert", {}
    yield "expert_share", {"kv": KvConfig("share")}
    yield "auxiliary", {"router": RouterConfig(auxiliary=True, network="mlp", alpha=0.5)}
    yield "token", {"router": RouterConfig(kind="token", function="softmax", alpha=1.0, balancing="loss_free")}
    yield "recursive", {"router": None}
    yield "relaxed", {"router": None, "lora": LoraConfig(4)}
    yield "vanilla", {"router": None, "recursion": None}


@needs_engine
@pytest.mark.parametrize(("name", "change"), list(variants()), ids=lambda one: one if isinstance(one, str) else "")
def test_engine_writes_the_same_tokens(tiny, tmp_path, corpus, name, change):
    """Greedy text of the engine equals this package's, for a model after a few steps of training."""
    tiny.train.steps, tiny.train.evaluate_every, seen = 90, 90, set()
    for part, value in change.items():
        setattr(tiny, part, value)
    trainer = Trainer(tiny, tmp_path / "run")
    trainer.run()
    folder = tmp_path / "folder"
    export_folder(trainer.model, tiny, folder, "f32", corpus / "tokenizer.json")
    tokenizer = Tokenizer.from_file(str(corpus / "tokenizer.json"))
    for prompt in ("One day", "Then the old man saw"):
        tokens, _ = generate(trainer.model, tokenizer.encode(prompt).ids, 24)
        command = [BINARY, "run", str(folder), "-p", prompt, "-n", "24", "--temperature", "0", "--quiet"]
        environment = {"XDG_RUNTIME_DIR": str(tmp_path), **os.environ}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
        assert done.returncode == 0, done.stderr
        seen |= set(tokens)
        assert done.stdout.rstrip("\n") == tokenizer.decode(tokens).rstrip("\n")
    assert len(seen) > 8, "text without variety compares nothing"
