"""One layer of its own that guesses for a frozen model (EAGLE, arXiv 2401.15077; also SpecEE's draft): from the
embedding of the newest token and the model's final state of the token before, to the final state of the newest one,
which the model's own head reads. It learns the model's distribution, several guesses deep."""

from __future__ import annotations

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from .config import LINEARS
from .distil import distillation_loss
from .export import engine_config
from .frozen import Settings, States, held_out_states, train_on, write_json
from .layers import LayerLinears, RmsNorm, Rotation
from .model import Model
from .names import linear_path

KeysValues = tuple[Tensor, Tensor]


def later(x: Tensor, by: int) -> Tensor:
    """x [B, S, ..] moved `by` positions towards the end, zeros before it."""
    return torch.cat([torch.zeros_like(x[:, :by]), x[:, : x.shape[1] - by]], dim=1) if by else x


class DraftLayer(nn.Module):
    """fc on [embedding, state], then a Llama layer without its first norm. Row r of its input stands at position
    r + 1: it reads that token, and the state of position r."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        config = model.config.model
        self.fc = nn.Linear(2 * config.hidden_size, config.hidden_size)
        nn.init.normal_(self.fc.weight, std=config.hidden_size**-0.5)
        nn.init.zeros_(self.fc.bias)
        self.linears = LayerLinears(config)
        self.norm = RmsNorm(config.hidden_size, config.rms_norm_eps)
        self.register_buffer("cosine", model.cosine.clone(), persistent=False)
        self.register_buffer("sine", model.sine.clone(), persistent=False)

    def attend(self, q: Tensor, guesses: list[KeysValues]) -> Tensor:
        """q [B, S, H, h] of guess j; `guesses` has keys and values [B, S, K, h] of guesses 1 to j. A guess sees what
        its round would hold: rows made from true states up to where its round began, then one row of each guess
        since, itself the last."""
        step, shared = len(guesses) - 1, q.shape[2] // guesses[0][0].shape[2]
        guesses = [(k.repeat_interleave(shared, 2), v.repeat_interleave(shared, 2)) for k, v in guesses]
        scale, rows = q.shape[-1] ** -0.5, torch.arange(q.shape[1], device=q.device)
        true_keys, true_values = guesses[0]
        scores = torch.einsum("bqhd,bkhd->bhqk", q, true_keys) * scale
        scores = scores.masked_fill(rows[None, :] > rows[:, None] - step, -torch.inf)
        own = [(later(k, step - one), later(v, step - one)) for one, (k, v) in enumerate(guesses) if one > 0]
        more = [(q * k).sum(-1).transpose(1, 2)[..., None] * scale for k, _ in own]
        share = torch.cat([scores, *more], dim=-1).softmax(dim=-1)
        result = torch.einsum("bhqk,bkhd->bqhd", share[..., : len(rows)], true_values)
        for place, (_, v) in enumerate(own):
            result = result + share[..., len(rows) + place].transpose(1, 2)[..., None] * v
        return result.flatten(2)

    def forward(self, embedded: Tensor, state: Tensor, guesses: list[KeysValues]) -> Tensor:
        """One guess for all rows [B, S, d] at once; adds its keys and values to `guesses`."""
        heads, key_heads, size = self.linears.heads
        x = self.fc(torch.cat([embedded, state], dim=-1))
        qkv = F.linear(x, self.linears.qkv).unflatten(-1, (heads + 2 * key_heads, size))
        turning, values = qkv.split([heads + key_heads, key_heads], dim=2)
        tables = (self.cosine[1 : x.shape[1] + 1, None], self.sine[1 : x.shape[1] + 1, None])
        q, keys = Rotation.apply(turning, *tables).split([heads, key_heads], dim=2)
        guesses.append((keys, values))
        x = x + F.linear(self.attend(q, guesses), self.linears.output)
        gate, up = F.linear(self.norm(x), self.linears.gate_up).chunk(2, dim=-1)
        return x + F.linear(F.silu(gate) * up, self.linears.down)


def roll_out(model: Model, layer: DraftLayer, states: States, horizon: int) -> list[Tensor]:
    """Logits of guess 1 to `horizon` at every row [B, S - 1, V]. Guess j at row r is the j-th of a round that began
    at row r - j + 1; the first j - 1 rows have none and hold nothing of use."""
    embedded, state, guesses, logits = states.layers[0][:, 1:], states.final[:, :-1], [], []
    for step in range(horizon):
        made = layer(embedded, state if step == 0 else later(state, 1), guesses)
        logits.append(model.logits(made))
        state = made
    return logits


def train_draft(model: Model, horizon: int, settings: Settings, out: Path) -> DraftLayer:
    """Mean over the guesses of KL(whole model || guess), on the corpus."""
    if not 1 <= horizon < settings.sequence:
        raise ValueError(f"horizon is {horizon}; from 1 to {settings.sequence - 1}")
    layer = DraftLayer(model)

    def loss_of(states: States) -> Tensor:
        teacher = model.logits(states.final[:, 1:])
        parts = [
            distillation_loss(one[:, step:].flatten(0, 1), teacher[:, step:].flatten(0, 1), 1.0)
            for step, one in enumerate(roll_out(model, layer, states, horizon))
        ]
        return sum(parts) / horizon

    torch.manual_seed(settings.seed)
    train_on(model, layer, loss_of, settings, out)
    return layer


@torch.no_grad()
def acceptance(model: Model, layer: DraftLayer, settings: Settings, horizon: int) -> dict[str, list[float]]:
    """On held-out text: how often guess j is the whole model's best token, and how often guesses 1 to j all are."""
    right, chain, count = [0] * horizon, [0] * horizon, [0] * horizon
    for states in held_out_states(model, settings):
        best = model.logits(states.final[:, 1:]).argmax(dim=-1)
        so_far = torch.ones_like(best, dtype=torch.bool)
        for step, logits in enumerate(roll_out(model, layer, states, horizon)):
            same = logits.argmax(dim=-1) == best
            so_far = same & (later(so_far, 1) if step else so_far)
            right[step] += int(same[:, step:].sum())
            chain[step] += int(so_far[:, step:].sum())
            count[step] += same[:, step:].numel()
    return {
        "agreement": [round(one / all_of_it, 5) for one, all_of_it in zip(right, count, strict=True)],
        "accepted": [round(one / all_of_it, 5) for one, all_of_it in zip(chain, count, strict=True)],
    }


def draft_tensors(layer: DraftLayer) -> dict[str, Tensor]:
    """The tensors under EAGLE-1's names."""
    tensors = {"fc.weight": layer.fc.weight.data, "fc.bias": layer.fc.bias.data}
    for name in LINEARS:
        weight, rows = layer.linears.rows(name)
        tensors[f"layers.0.{linear_path(name)}.weight"] = weight.data[rows]
    tensors["layers.0.post_attention_layernorm.weight"] = layer.norm.weight.data
    return tensors


def export_draft(model: Model, layer: DraftLayer, figures: dict, out: Path) -> None:
    """`model.safetensors`, `config.json`, and `figures.json` with the acceptance. Embedding and head are the
    model's own and are not repeated."""
    out.mkdir(parents=True, exist_ok=True)
    tensors = {name: one.contiguous().clone() for name, one in draft_tensors(layer).items()}
    save_file(tensors, out / "model.safetensors", {"format": "pt"})
    values = engine_config(model.config)
    values.pop("isobath", None)
    write_json(out / "config.json", {**values, "num_hidden_layers": 1, "bias": True})
    write_json(out / "figures.json", figures)


@torch.no_grad()
def read_draft(model: Model, path: Path) -> DraftLayer:
    """What `export_draft` wrote, for the same model."""
    size = json.loads((path / "config.json").read_text())["hidden_size"]
    if size != model.config.model.hidden_size:
        raise ValueError(f"{path} is for models of width {size}; this one has {model.config.model.hidden_size}")
    layer, tensors = DraftLayer(model), load_file(path / "model.safetensors")
    for name, place in draft_tensors(layer).items():
        if name not in tensors or tensors[name].shape != place.shape:
            raise ValueError(f"{path} has no tensor `{name}` of shape {list(place.shape)}")
        place.copy_(tensors[name])
    return layer.eval().requires_grad_(False)
