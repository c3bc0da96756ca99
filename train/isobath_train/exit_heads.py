"""Self-supervised exits for a frozen model (Valade, arXiv 2407.21082; DSSD): a norm and a head of its own per exit
learn the whole model's distribution, and thresholds of their entropy say when to trust them."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .calibrate import LEVELS, coverage, thresholds
from .distil import distillation_loss
from .frozen import Settings, States, held_out_states, train_on, write_json
from .layers import Adapter, RmsNorm
from .model import Model


class ExitHead(nn.Module):
    """RMSNorm and linear of one exit. Both start as the model's own; with `rank` only a difference to the model's
    head is learned, of that rank."""

    def __init__(self, model: Model, rank: int) -> None:
        super().__init__()
        self.norm = RmsNorm(model.config.model.hidden_size, model.config.model.rms_norm_eps)
        self.norm.weight.data.copy_(model.final_norm.weight)
        head = model.head_weight().detach().clone()
        self.linear = nn.Parameter(head, requires_grad=rank == 0)
        self.difference = Adapter(head.shape[1], head.shape[0], rank, 1.0) if rank else None

    def forward(self, x: Tensor) -> Tensor:
        """[.., d] -> [.., V]"""
        x = self.norm(x)
        logits = F.linear(x, self.linear)
        return logits if self.difference is None else logits + self.difference(x)

    def weight(self) -> Tensor:
        """[V, d], the difference added."""
        if self.difference is None:
            return self.linear.detach()
        return (self.linear + self.difference.b @ self.difference.a * self.difference.scale).detach()


class ExitHeads(nn.Module):
    """The heads of several exits. An exit is named by the layer, from 0, whose output it reads."""

    def __init__(self, model: Model, layers: list[int], rank: int = 0) -> None:
        super().__init__()
        count = model.config.model.num_hidden_layers
        if sorted(set(layers)) != layers or not layers or layers[0] < 0 or layers[-1] >= count - 1:
            raise ValueError(f"exits are {layers}; they must rise, from 0 to {count - 2} for {count} layers")
        self.layers = layers
        self.heads = nn.ModuleList(ExitHead(model, rank) for _ in layers)

    def forward(self, states: States) -> list[Tensor]:
        """Logits [B, S, V] of each exit."""
        return [head(states.layers[layer + 1]) for layer, head in zip(self.layers, self.heads, strict=True)]


def spread_exits(layers: int, count: int) -> list[int]:
    """The inner points of a line from 0 to L in count + 1 equal parts, rounded down."""
    return sorted({layers * place // (count + 1) for place in range(1, count + 1)})


def train_heads(model: Model, layers: list[int], rank: int, settings: Settings, out: Path) -> ExitHeads:
    """Mean over the exits of KL(whole model || exit), on the corpus."""
    heads = ExitHeads(model, layers, rank)

    def loss_of(states: States) -> Tensor:
        teacher = model.logits(states.final).flatten(0, 1)
        parts = [distillation_loss(one.flatten(0, 1), teacher, 1.0) for one in heads(states)]
        return sum(parts) / len(parts)

    train_on(model, heads, loss_of, settings, out)
    return heads


@torch.no_grad()
def uncertainty(model: Model, heads: ExitHeads, settings: Settings) -> list[tuple[Tensor, Tensor]]:
    """Of each exit on held-out text: the entropies in nats and whether the best token is the whole model's."""
    found: list[tuple[list[Tensor], list[Tensor]]] = [([], []) for _ in heads.layers]
    for states in held_out_states(model, settings):
        best = model.logits(states.final).argmax(dim=-1)
        for (entropies, right), logits in zip(found, heads(states), strict=True):
            scores = logits.log_softmax(dim=-1)
            entropies.append(-(scores.exp() * scores).sum(dim=-1).flatten())
            right.append((logits.argmax(dim=-1) == best).flatten())
    return [(torch.cat(entropies), torch.cat(right)) for entropies, right in found]


def calibration(found: list[tuple[Tensor, Tensor]], policy: str, settings: Settings) -> dict:
    """`calibration.json`: thresholds by level and exit; an exit leaves where its entropy lies below."""
    by_exit = [thresholds(entropies, right, policy) for entropies, right in found]
    names = [f"{level:.2f}" for level in LEVELS]
    statistics = {}
    for number, (entropies, right) in enumerate(found):
        limits = by_exit[number]
        statistics[str(number)] = {
            "agreement": round(float(right.float().mean()), 5),
            "mean_entropy": round(float(entropies.mean()), 5),
            "coverage": dict(zip(names, (coverage(entropies, limit) for limit in limits), strict=True)),
        }
    return {
        "model_config_path": "config.json", "calibration_dataset": "valid.bin",
        "calibration_samples": len(found[0][0]), "uncertainty_metric": "entropy", "accuracy_levels": list(LEVELS),
        "thresholds": {
            name: {str(number): limits[place] for number, limits in enumerate(by_exit)}
            for place, name in enumerate(names)
        },
        "statistics": statistics,
    }  # fmt: skip


def export_heads(model: Model, heads: ExitHeads, calibrated: dict, name: str, settings: Settings, out: Path) -> None:
    """`aux_heads.pt`, `config.json`, `calibration.json`, as DSSD publishes them."""
    out.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for number, head in enumerate(heads.heads):
        tensors[f"{number}.norm.weight"] = head.norm.weight.detach().clone()
        tensors[f"{number}.linear.weight"] = head.weight().clone()
    torch.save(tensors, out / "aux_heads.pt")
    size = model.config.model
    described = {
        "model_name": name, "num_heads": len(heads.layers), "head_layer_indices": heads.layers, "quantization": "none",
        "hidden_size": size.hidden_size, "vocab_size": size.vocab_size, "num_hidden_layers": size.num_hidden_layers,
        "training_config": {
            "steps": settings.steps, "batch": settings.batch, "sequence": settings.sequence,
            "learning_rate": settings.learning_rate, "seed": settings.seed,
        },
    }  # fmt: skip
    write_json(out / "config.json", described)
    write_json(out / "calibration.json", calibrated)
