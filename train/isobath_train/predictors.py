"""SpecEE's predictors (arXiv 2504.08850): per layer a small network says from three things about four candidate
tokens whether the model would already be right here. The model is frozen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from .data import held_out, read_tokens
from .draft_layer import DraftLayer, roll_out
from .frozen import Settings, States, held_out_states, states_of, write_json
from .model import Model

CANDIDATES = 4
FEATURES = 3 * CANDIDATES
WIDTH = 512

Candidates = Callable[[States], Tensor]


def from_draft(model: Model, layer: DraftLayer) -> Candidates:
    """The draft layer's best four at each row but the first."""
    return lambda states: roll_out(model, layer, states, 1)[0].topk(CANDIDATES, dim=-1).indices


def from_exit(model: Model, exit_layer: int) -> Candidates:
    """The best four after some layers, where there is no draft layer."""

    def candidates(states: States) -> Tensor:
        return model.logits(model.final_norm(states.layers[exit_layer][:, 1:])).topk(CANDIDATES, dim=-1).indices

    return candidates


@dataclass
class Samples:
    """For N rows and L - 1 layers: features [N, L - 1, 12]; `right`, whether the layer's best token is the whole
    model's; `known`, whether it is among the candidates."""

    features: Tensor
    right: Tensor
    known: Tensor


@torch.no_grad()
def samples_of(model: Model, states: States, candidates: Tensor) -> Samples:
    """Logits of the candidates, their softmax, and its change since the layer before (at the first: all of it)."""
    rows = model.head_weight()[candidates]
    best = model.logits(states.final[:, 1:]).argmax(dim=-1)
    features, right, known, before = [], [], [], None
    for state in states.layers[1:-1]:
        normed = model.final_norm(state[:, 1:])
        scores = torch.einsum("bskd,bsd->bsk", rows, normed)
        share = scores.softmax(dim=-1)
        features.append(torch.cat([scores, share, share if before is None else share - before], dim=-1))
        before = share
        here = model.logits(normed).argmax(dim=-1)
        right.append(here == best)
        known.append((candidates == here[..., None]).any(dim=-1))
    stacked = (torch.stack(one, dim=2).flatten(0, 1) for one in (features, right, known))
    return Samples(*stacked)


def collect(model: Model, candidates: Candidates, settings: Settings, count: int) -> Samples:
    """Samples of `count` rows of the corpus or a few more, from windows at even distances."""
    windows = -(-count // (settings.sequence - 1))
    tokens = held_out(read_tokens(settings.corpus / "train.bin"), settings.sequence, windows)
    parts = []
    for part in tokens.split(settings.batch):
        states = states_of(model, part[:, :-1])
        parts.append(samples_of(model, states, candidates(states)))
    return join(parts)


def join(parts: list[Samples]) -> Samples:
    return Samples(*(torch.cat([getattr(one, name) for one in parts]) for name in ("features", "right", "known")))


class Predictors(nn.Module):
    """12 -> 512 -> 1 for each layer but the last, all of them in one product."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.fc1 = nn.Parameter(torch.empty(layers, WIDTH, FEATURES).uniform_(-1, 1) * FEATURES**-0.5)
        self.bias1 = nn.Parameter(torch.zeros(layers, WIDTH))
        self.fc2 = nn.Parameter(torch.empty(layers, 1, WIDTH).uniform_(-1, 1) * WIDTH**-0.5)
        self.bias2 = nn.Parameter(torch.zeros(layers, 1))

    def forward(self, features: Tensor) -> Tensor:
        """[N, L - 1, 12] -> logits [N, L - 1]; their sigmoid is the score."""
        hidden = torch.einsum("nlf,lwf->nlw", features, self.fc1) + self.bias1
        return (F.relu(hidden) * self.fc2[:, 0]).sum(dim=-1) + self.bias2[:, 0]

    @torch.no_grad()
    def scores(self, features: Tensor) -> Tensor:
        """The scores of many rows, a few at a time."""
        return torch.cat([self(part).sigmoid() for part in features.split(1024)])


def train_predictors(samples: Samples, epochs: int, settings: Settings) -> Predictors:
    """Binary cross-entropy, AdamW, each epoch in an order of its own."""
    torch.manual_seed(settings.seed)
    predictors = Predictors(samples.features.shape[1])
    optimizer = torch.optim.AdamW(predictors.parameters(), lr=settings.learning_rate, weight_decay=0.0)
    target = samples.right.float()
    for epoch in range(epochs):
        total, parts = 0.0, torch.randperm(len(target)).split(256)
        for rows in parts:
            loss = F.binary_cross_entropy_with_logits(predictors(samples.features[rows]), target[rows])
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            total += float(loss.detach())
        print(f"epoch {epoch + 1}/{epochs} loss {total / len(parts):.5f}", flush=True)
    return predictors


@dataclass
class Exits:
    """A dry run on held-out rows: the layer that each leaves at (L - 1: the last), and whether it is right there."""

    layer: Tensor
    right: Tensor


def dry_run(predictors: Predictors, samples: Samples, threshold: float, probed: list[int] | None = None) -> Exits:
    """A row leaves at the first probed layer whose score is above the threshold and whose best token is a
    candidate."""
    leaves = (predictors.scores(samples.features) > threshold) & samples.known
    if probed is not None:
        leaves[:, [layer for layer in range(leaves.shape[1]) if layer not in probed]] = False
    end = leaves.new_ones(len(leaves), 1)
    layer = torch.cat([leaves, end], dim=1).int().argmax(dim=1)
    right = torch.cat([samples.right, end], dim=1).gather(1, layer[:, None])[:, 0]
    return Exits(layer, right)


def offline_layers(exits: Exits, layers: int, count: int) -> list[int]:
    """The `count` layers before the last, from 0, at which most rows leave."""
    often = exits.layer.bincount(minlength=layers)[: layers - 1]
    order = sorted(range(layers - 1), key=lambda layer: (-int(often[layer]), layer))
    return sorted(layer for layer in order[:count] if often[layer] > 0)


@torch.no_grad()
def figures_of(
    model: Model, predictors: Predictors, candidates: Candidates, settings: Settings, threshold: float, count: int
) -> dict:
    """`predictors.json`: what the engine needs besides the weights, and what held-out text says of them. The online
    half of the schedule is not in the dry runs."""
    samples = join([samples_of(model, states, candidates(states)) for states in held_out_states(model, settings)])
    layers = model.config.model.num_hidden_layers
    everywhere = dry_run(predictors, samples, threshold)
    offline = offline_layers(everywhere, layers, count)
    runs = {"every_layer": everywhere, "offline_layers": dry_run(predictors, samples, threshold, offline)}
    guessed = (predictors.scores(samples.features) > 0.5) == samples.right
    return {
        "features": FEATURES, "candidates": CANDIDATES, "width": WIDTH, "layers": layers, "threshold": threshold,
        "offline_layers": offline, "samples": len(samples.right),
        "accuracy": [round(float(one), 5) for one in guessed.float().mean(dim=0)],
        "agreement_of_layer": [round(float(one), 5) for one in samples.right.float().mean(dim=0)],
        "best_is_candidate": [round(float(one), 5) for one in samples.known.float().mean(dim=0)],
        **{
            name: {
                "mean_layers": round(float(run.layer.float().mean()) + 1, 4),
                "agreement": round(float(run.right.float().mean()), 5),
                "exits_per_layer": run.layer.bincount(minlength=layers).tolist(),
            }
            for name, run in runs.items()
        },
    }  # fmt: skip


def export_predictors(predictors: Predictors, figures: dict, out: Path) -> None:
    """`predictor-{layer}.safetensors` for each layer, from 0, with `fc1.weight` [512, 12], `fc1.bias`, `fc2.weight`
    [1, 512], `fc2.bias`, f32, and `predictors.json`."""
    out.mkdir(parents=True, exist_ok=True)
    places = {"fc1.weight": "fc1", "fc1.bias": "bias1", "fc2.weight": "fc2", "fc2.bias": "bias2"}
    for layer in range(predictors.fc1.shape[0]):
        values = {name: getattr(predictors, place).detach()[layer] for name, place in places.items()}
        tensors = {name: one.contiguous().clone() for name, one in values.items()}
        save_file(tensors, out / f"predictor-{layer}.safetensors", {"format": "pt"})
    write_json(out / "predictors.json", figures)
