"""The network: a Llama model whose layers may be applied several times, with adapters and with routers."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import expert_choice, layer_skip, token_choice
from .config import Config
from .layers import Adapter, KeysValues, LayerLinears, LayerNorms, RmsNorm, layer_forward, rotary_tables
from .router import Router
from .sharing import plain_map, sharing_map


@dataclass
class Output:
    """Hidden states after the final norm [B, S, d], and what the routers did."""

    hidden: Tensor
    rounds: list[expert_choice.Round] = field(default_factory=list)
    choice: token_choice.Choice | None = None
    depth: Tensor | None = None  # [B, S], number of recursions that each token ran; None in top-k routing
    exits: dict[int, Tensor] = field(default_factory=dict)  # the same as `hidden` after fewer layers


class Model(nn.Module):
    """Vanilla, recursive, relaxed recursive or Mixture-of-Recursions, as the config says."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        model, recursion, kv = config.model, config.recursion, config.kv
        layers = model.num_hidden_layers
        self.sharing = sharing_map(recursion.sharing, layers, recursion.count) if recursion else plain_map(layers)
        self.kv_sharing = None
        if kv.mode == "share":
            self.kv_sharing = sharing_map(kv.sharing or recursion.sharing, layers, kv.count or recursion.count)
        self.embedding = nn.Parameter(torch.randn(model.vocab_size, model.hidden_size) * model.initializer_range)
        self.head = None
        if not model.tie_word_embeddings:
            self.head = nn.Parameter(torch.randn(model.vocab_size, model.hidden_size) * model.initializer_range)
        uniques = sorted(set(self.sharing.unique))
        self.linears = nn.ModuleDict({str(unique): LayerLinears(model) for unique in uniques})
        self.norm_index = self.sharing.unique if recursion and recursion.share_norms else list(range(layers))
        self.norms = nn.ModuleDict({str(index): LayerNorms(model) for index in sorted(set(self.norm_index))})
        self.final_norm = RmsNorm(model.hidden_size, model.rms_norm_eps)
        self.adapters = nn.ModuleDict()
        if config.lora is not None:
            self.add_adapters()
        self.routers = self.auxiliary_routers = self.router = None
        self.register_buffer("router_bias", None)
        if config.router is not None:
            self.add_routers()
        tables = rotary_tables(model.max_position_embeddings, model.head_dim, model.rope_theta)
        self.register_buffer("cosine", tables[0], persistent=False)
        self.register_buffer("sine", tables[1], persistent=False)

    def add_adapters(self) -> None:
        """Adapters of every unrolled layer that recurs, the first loop included."""
        lora = self.config.lora
        for layer, recursion in enumerate(self.sharing.recursion):
            if recursion is None:
                continue
            linears, adapters = self.linears[str(self.sharing.unique[layer])], nn.ModuleDict()
            for name in lora.targets:
                weight, rows = linears.rows(name)
                adapters[name] = Adapter(weight.shape[1], rows.stop - rows.start, lora.rank, lora.scale)
            self.adapters[str(layer)] = adapters

    def add_routers(self) -> None:
        router, size, deviation = self.config.router, self.config.model.hidden_size, self.config.model.initializer_range
        count = self.config.recursion.count
        if router.kind == "token":
            self.router = Router(router.network, size, count, deviation, router.temperature)
            if router.bias or router.balancing == "loss_free":
                self.router_bias = torch.zeros(count)
            return
        self.routers = nn.ModuleList(
            Router(router.network, size, 1, deviation, router.temperature) for _ in range(count)
        )
        if router.auxiliary:
            self.auxiliary_routers = nn.ModuleList(Router(router.network, size, 1, deviation) for _ in range(count))

    def layer(
        self,
        layer: int,
        x: Tensor,
        positions: Tensor | None,
        runs: Tensor | None,
        slots: dict[int, KeysValues],
    ) -> Tensor:
        """Unrolled layer over x [B, T, d]. `positions` [B, T] where x is a selection of tokens, None where it is all.
        `runs` [B, T] marks the tokens that are under way where x holds all. `slots` has keys and values that later
        layers share."""
        if positions is None:
            tables = (self.cosine[: x.shape[1], None], self.sine[: x.shape[1], None])
        else:
            tables = (self.cosine[positions].unsqueeze(2), self.sine[positions].unsqueeze(2))
        tables = tuple(table.to(x.dtype) for table in tables)
        slot = self.kv_sharing.unique[layer] if self.kv_sharing else layer
        shared = slots.get(slot) if self.kv_sharing else None
        mask = None
        if shared is not None and positions is not None:
            mask = (positions[:, :, None] >= torch.arange(shared[0].shape[1], device=x.device))[:, None]
        elif self.kv_sharing is None and runs is not None:
            mask = running_mask(runs)
        result, keys_values = layer_forward(
            self.linears[str(self.sharing.unique[layer])],
            self.norms[str(self.norm_index[layer])],
            self.adapters[str(layer)] if str(layer) in self.adapters else {},
            x, tables, mask, shared,
        )  # fmt: skip
        if self.kv_sharing:
            slots.setdefault(slot, keys_values)
        return result

    def block(
        self, recursion: int, x: Tensor, positions: Tensor | None, runs: Tensor | None, slots: dict[int, KeysValues]
    ) -> Tensor:
        """F_r: the layers of one recursion, in order."""
        for layer, its_recursion in enumerate(self.sharing.recursion):
            if its_recursion == recursion:
                x = self.layer(layer, x, positions, runs, slots)
        return x

    def plain_states(self, h: Tensor, rates: list[float] | None = None) -> Iterator[Tensor]:
        """The state after each layer, all layers in a row; with `rates` samples skip layers at random."""
        slots: dict[int, KeysValues] = {}
        for layer in range(len(self.sharing.unique)):
            rate = rates[layer] if rates is not None else 0.0
            h = layer_skip.some_samples(lambda x, layer=layer: self.layer(layer, x, None, None, slots), h, rate)
            yield h

    def plain(self, h: Tensor, exits: Collection[int], rates: list[float] | None) -> Output:
        """A model without routers; `exits` are also read out."""
        early = {}
        for number, state in enumerate(self.plain_states(h, rates), 1):
            h = state
            if number in exits:
                early[number] = self.final_norm(h)
        return Output(self.final_norm(h), exits=early)

    def forward(
        self,
        tokens: Tensor,
        routing: str = "top_k",
        capacities: list[float] | None = None,
        limit: float = 0.0,
        depth: int | None = None,
        exits: Collection[int] = (),
        rates: list[float] | None = None,
    ) -> Output:
        """tokens [B, S]. `routing` is top_k or threshold and matters to expert-choice alone; `capacities` replaces
        the config's; `limit` and `depth` are for threshold routing; `exits` (numbers of layers) and `rates` are for
        plain models."""
        h = F.embedding(tokens, self.embedding)
        if self.config.router is None:
            return self.plain(h, exits, rates)
        middle = self.config.recursion.sharing.startswith("middle")
        last = len(self.sharing.unique) - 1
        if middle:
            h = self.layer(0, h, None, None, {})
        output = Output(h)
        if self.config.router.kind == "token":
            h, output.choice = token_choice.run(self, h)
            output.depth = output.choice.last + 1
        elif routing == "top_k":
            h, output.rounds = expert_choice.top_k(self, h, capacities or self.config.capacities())
        else:
            h, output.rounds, output.depth = expert_choice.threshold(self, h, limit, depth)
        if middle:
            h = self.layer(last, h, None, None, {})
        output.hidden = self.final_norm(h)
        return output

    def head_weight(self) -> Tensor:
        """[V, d]: the head's own, else the embedding."""
        return self.embedding if self.head is None else self.head

    def logits(self, hidden: Tensor) -> Tensor:
        """[.., d] -> [.., V]"""
        return F.linear(hidden, self.head_weight())

    def parameter_count(self) -> dict[str, int]:
        """Parameters that are stored, with and without the embedding."""
        total = sum(one.numel() for one in self.parameters())
        return {"total": total, "without_embedding": total - self.embedding.numel()}


def running_mask(runs: Tensor) -> Tensor:
    """[B, S] -> [B, 1, S, S]: a token sees itself and the earlier tokens that run. Rows of tokens that do not run are
    computed and thrown away; they see themselves so that no softmax is empty."""
    length = runs.shape[1]
    ones = torch.ones(length, length, dtype=torch.bool, device=runs.device)
    return (ones.tril() & runs[:, None, :] | ones.triu().tril())[:, None]
