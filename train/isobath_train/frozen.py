"""What the tools for a frozen model share: the model, its states on the corpus, and a training loop for what is added
to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .checkpoint import load_model
from .config import config_from_dict
from .data import Windows, held_out, read_tokens
from .folder import read_folder
from .model import Model
from .schedule import Schedule


@dataclass
class Settings:
    """Of one training on a frozen model. `windows` are held out, for the figures at the end."""

    corpus: Path
    steps: int = 1000
    batch: int = 4
    sequence: int = 256
    learning_rate: float = 1e-4
    seed: int = 1
    windows: int = 64


@dataclass
class States:
    """What the model makes of tokens [B, S]: `layers[l]` [B, S, d] after l layers, from the embedding at 0, and
    `final`, after the final norm."""

    tokens: Tensor
    layers: list[Tensor]
    final: Tensor


def read_frozen(path: Path) -> Model:
    """Of a run's folder, a checkpoint, or a folder of the engine, q8_0 or wider. It will not be changed."""
    if (path / "model.safetensors").is_file():
        contents = read_folder(path, packed_too=True)
        model = Model(config_from_dict(contents["config"]))
        model.load_state_dict(contents["model"])
    else:
        model = load_model(path)[0]
    if model.config.router is not None:
        raise ValueError(f"{path} decides on depth by itself; exits are for models without a router")
    return model.eval().requires_grad_(False)


@torch.no_grad()
def states_of(model: Model, tokens: Tensor) -> States:
    """Runs the whole model once."""
    start = F.embedding(tokens, model.embedding)
    layers = [start, *model.plain_states(start)]
    return States(tokens, layers, model.final_norm(layers[-1]))


def held_out_states(model: Model, settings: Settings) -> Iterable[States]:
    """Of held-out windows, a few at a time."""
    windows = held_out(read_tokens(settings.corpus / "valid.bin"), settings.sequence, settings.windows)
    for part in windows.split(settings.batch):
        yield states_of(model, part[:, :-1])


def train_on(
    model: Model, trained: nn.Module, loss_of: Callable[[States], Tensor], settings: Settings, out: Path
) -> None:
    """AdamW on `trained` alone; the learning rate warms up and falls in the last fifth. Writes `log.jsonl`."""
    torch.manual_seed(settings.seed)
    windows = Windows(read_tokens(settings.corpus / "train.bin"), settings.sequence, settings.seed)
    optimizer = torch.optim.AdamW(trained.parameters(), lr=settings.learning_rate, weight_decay=0.0)
    steps = settings.steps
    schedule = Schedule(settings.learning_rate, 0.0, max(1, steps // 20), steps - steps // 5, steps)
    every, recent = max(1, steps // 20), []
    out.mkdir(parents=True, exist_ok=True)
    with open(out / "log.jsonl", "w") as log:
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = schedule.learning_rate(step)
            loss = loss_of(states_of(model, windows.next_batch(settings.batch)[:, :-1]))
            loss.backward()
            nn.utils.clip_grad_norm_(trained.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            recent.append(float(loss.detach()))
            if (step + 1) % every == 0 or step + 1 == steps:
                mean, recent = sum(recent) / len(recent), []
                log.write(json.dumps({"kind": "train", "step": step + 1, "loss": mean}) + "\n")
                log.flush()
                print(f"step {step + 1}/{steps} loss {mean:.5f}", flush=True)


def write_json(path: Path, values: dict) -> None:
    path.write_text(json.dumps(values, indent=2, allow_nan=False) + "\n")
