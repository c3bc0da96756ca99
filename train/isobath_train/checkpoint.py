"""Checkpoints from which training goes on as if it had never stopped: to the bit on a CPU."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import torch

from .config import Config, config_from_dict
from .model import Model

VERSION = 1


def random_state() -> dict[str, Any]:
    state: dict[str, Any] = {"torch": torch.get_rng_state(), "python": random.getstate()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def restore_random_state(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["torch"].cpu())
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all([one.cpu() for one in state["cuda"]])


def write_checkpoint(path: Path, contents: dict[str, Any]) -> None:
    """Written beside and then renamed, so that a file that is there is always whole."""
    beside = path.with_name(path.name + ".part")
    with open(beside, "wb") as file:
        torch.save({"version": VERSION, **contents}, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)


def read_checkpoint(path: Path, device: str = "cpu") -> dict[str, Any]:
    """Reads plain data alone: a checkpoint cannot run code."""
    if path.is_dir():
        path = path / "checkpoint.pt"
    contents = torch.load(path, map_location=device, weights_only=True)
    if contents["version"] != VERSION:
        raise ValueError(f"{path} has version {contents['version']}; this is version {VERSION}")
    return contents


def average(paths: list[Path]) -> dict[str, Any]:
    """The mean of the weights of several checkpoints of one run, which stands for a decay of the learning rate where
    there is no time for one (arXiv 2209.14981). It is a start, without an optimiser."""
    found = [read_checkpoint(path) for path in paths]
    last, states = found[-1], [one["model"] for one in found]
    if any(one["config"]["model"] != last["config"]["model"] for one in found):
        raise ValueError("the checkpoints are of different models")
    mean = {name: sum(state[name] for state in states) / len(states) for name in states[0]}
    return {"config": last["config"], "model": mean, "step": last["step"]}


def load_model(path: Path, device: str = "cpu") -> tuple[Model, Config, dict[str, Any]]:
    """The model of a run or of one checkpoint, ready to be judged."""
    contents = read_checkpoint(path, device)
    config = config_from_dict(contents["config"])
    model = Model(config)
    model.load_state_dict(contents["model"])
    return model.to(device).eval(), config, contents
