"""Makes a recursive, relaxed or routed model out of a trained vanilla one (RRT sections 3.2 and 3.3)."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from .config import Config
from .layers import LayerLinears
from .model import Model
from .sharing import SharingMap, picked_layers, spread

STRATEGIES = ("stepwise", "average", "lower", "upper")


def group_sources(strategy: str, sharing: SharingMap) -> list[list[int]]:
    """For each tied group, in order, the source layers that are averaged for it. Layers that stand alone keep their
    own. Source and target have the same unrolled layers."""
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy is {strategy!r}; one of {STRATEGIES}")
    groups, layers, depth = sharing.groups(), len(sharing.unique), sharing.base_depth
    first = 1 if sharing.recursion[0] is None else 0
    last = layers - 1 - first
    chosen = {
        "stepwise": spread(first, last, depth),
        "lower": list(range(first, first + depth)),
        "upper": list(range(last - depth + 1, last + 1)),
    }.get(strategy)
    sources, place = [], 0
    for group in groups:
        if sharing.recursion[group[0]] is None:
            sources.append(group)
            continue
        sources.append(group if chosen is None else [chosen[place]])
        place += 1
    return sources


def residual_adapter(residual: Tensor, rank: int, scale: float) -> tuple[Tensor, Tensor]:
    """A [r, in] and B [out, r] with scale * B A the best approximation of the residual [out, in] of that rank."""
    u, sigma, v = torch.linalg.svd(residual.double(), full_matrices=False)
    rank = min(rank, len(sigma))
    return v[:rank].float(), (u[:, :rank] * sigma[:rank] / scale).float()


def matrix(linears: LayerLinears, name: str) -> Tensor:
    weight, rows = linears.rows(name)
    return weight.data[rows]


@torch.no_grad()
def average_into(target: torch.nn.Module, sources: list[torch.nn.Module]) -> None:
    """Each parameter becomes the mean of the sources'; with one source it is a copy."""
    for name, parameter in target.named_parameters():
        values = [source.get_parameter(name) for source in sources]
        parameter.copy_(values[0] if len(values) == 1 else torch.stack(values).mean(dim=0))


@torch.no_grad()
def fit_adapters(model: Model, source: Model, picked: list[int]) -> None:
    """Adapters take up what sharing lost: the source layer's matrix less the shared one."""
    for layer, adapters in model.adapters.items():
        own = source.linears[str(picked[int(layer)])]
        shared = model.linears[str(model.sharing.unique[int(layer)])]
        for name, adapter in adapters.items():
            residual = matrix(own, name) - matrix(shared, name)
            a, b = residual_adapter(residual, adapter.a.shape[0], adapter.scale)
            adapter.a.copy_(a)
            adapter.b.copy_(b)


@torch.no_grad()
def convert(source: Model, config: Config, strategy: str, adapters: str = "svd", seed: int = 0) -> Model:
    """A model of `config` from a trained one without sharing. Where the layers do not divide, some are picked first.
    `adapters` is svd or zero; a router starts random."""
    if source.config.recursion is not None or config.recursion is None:
        raise ValueError("convert goes from a model without [recursion] to one with it")
    wanted, given = config.model.num_hidden_layers, source.config.model.num_hidden_layers
    picked = list(range(given))
    if wanted != given:
        picked = picked_layers(config.recursion.sharing, given, config.recursion.count)
        if len(picked) != wanted:
            raise ValueError(f"{given} layers become {len(picked)} layers; num_hidden_layers says {wanted}")
    torch.manual_seed(seed)
    config = copy.deepcopy(config)
    config.model.tie_word_embeddings = source.head is None
    model = Model(config)
    model.embedding.copy_(source.embedding)
    model.final_norm.weight.copy_(source.final_norm.weight)
    if source.head is not None:
        model.head.copy_(source.head)
    for group, layers in zip(model.sharing.groups(), group_sources(strategy, model.sharing), strict=True):
        taken = [str(picked[layer]) for layer in layers]
        average_into(model.linears[str(group[0])], [source.linears[layer] for layer in taken])
        if config.recursion.share_norms:
            average_into(model.norms[str(group[0])], [source.norms[layer] for layer in taken])
    if not config.recursion.share_norms:
        for layer, norms in model.norms.items():
            average_into(norms, [source.norms[str(picked[int(layer)])]])
    if adapters == "svd":
        fit_adapters(model, source, picked)
    elif adapters != "zero":
        raise ValueError(f"adapters is {adapters!r}; svd or zero")
    return model
