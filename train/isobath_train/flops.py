"""Floating-point operations by formula: what the mathematics needs, whatever the hardware does.

Per token and matrix two operations per weight; attention four per head number and attended key, of which a causal
token sees (S + 1) / 2 on average; the backward pass twice the forward pass. Norms, softmax and rotation are left out.
"""

from __future__ import annotations

from .config import Config
from .expert_choice import selected_count
from .layer_skip import mean_exits, mean_rates
from .schedule import capacities_at
from .sharing import plain_map, sharing_map


def layer_flops(config: Config, rows: int, keys: float, key_rows: int) -> float:
    """Forward operations of one layer over a sequence: `rows` tokens each attend to `keys`; keys and values are
    computed for `key_rows` tokens."""
    model, lora = config.model, config.lora
    queries = model.num_attention_heads * model.head_dim
    values = model.num_key_value_heads * model.head_dim
    size, inner = model.hidden_size, model.intermediate_size
    shapes = {
        "q_proj": (size, queries), "k_proj": (size, values), "v_proj": (size, values), "o_proj": (queries, size),
        "gate_proj": (size, inner), "up_proj": (size, inner), "down_proj": (inner, size),
    }  # fmt: skip
    total = 4.0 * rows * keys * queries
    for name, (inputs, outputs) in shapes.items():
        weights = inputs * outputs
        if lora is not None and name in lora.targets:
            weights += min(lora.rank, inputs, outputs) * (inputs + outputs)
        total += 2.0 * weights * (key_rows if name in ("k_proj", "v_proj") else rows)
    return total


def router_flops(config: Config, rows: int, outputs: int) -> float:
    size, router = config.model.hidden_size, config.router
    once = 2.0 * rows * (size * outputs if router.network == "linear" else 2 * size * (size + outputs))
    return once * (2 if router.auxiliary else 1)


def forward_flops_per_token(config: Config, tokens: int, capacities: list[float] | None = None) -> float:
    """Mean over a sequence of `tokens`. Routed recursions count the tokens that really run them; token-choice is
    counted as if balanced, (N - r) / N of the tokens at recursion r."""
    model, recursion, router = config.model, config.recursion, config.router
    layers = model.num_hidden_layers
    sharing = sharing_map(recursion.sharing, layers, recursion.count) if recursion else plain_map(layers)
    slots = None
    if config.kv.mode == "share":
        slots = sharing_map(config.kv.sharing or recursion.sharing, layers, config.kv.count or recursion.count).unique
    rows = [tokens] * (recursion.count if recursion else 0)
    total = 2.0 * tokens * model.vocab_size * model.hidden_size
    if router is not None:
        rows = [selected_count(capacity, tokens) for capacity in capacities or config.capacities()]
        seen = [tokens, *rows[:-1]] if router.kind == "expert" else [tokens]
        total += sum(router_flops(config, one, 1 if router.kind == "expert" else recursion.count) for one in seen)
    for layer, its_recursion in enumerate(sharing.recursion):
        its_rows = tokens if its_recursion is None else rows[its_recursion]
        if slots is None:
            total += layer_flops(config, its_rows, (its_rows + 1) / 2, its_rows)
        else:
            first = slots[layer] == layer
            its_rows = tokens if first else its_rows
            total += layer_flops(config, its_rows, (tokens + 1) / 2, tokens if first else 0)
    return total / tokens


def train_flops_per_token(config: Config, tokens: int, capacities: list[float] | None = None) -> float:
    """Forward and backward. Layers that samples skip and heads of early exits are counted at their mean over a run."""
    forward, model = forward_flops_per_token(config, tokens, capacities), config.model
    if config.layer_skip is not None:
        head = 2.0 * model.vocab_size * model.hidden_size
        layer = layer_flops(config, tokens, (tokens + 1) / 2, tokens) / tokens
        forward += mean_exits(config) * head - sum(mean_rates(config)) * layer
    return 3.0 * forward


def step_flops(config: Config, step: int) -> float:
    """Operations of one optimiser step, with the capacities of that step."""
    train, capacities = config.train, None
    if config.router is not None and config.router.kind == "expert":
        capacities = capacities_at(step, config.capacities(), config.router.capacity_warmup_steps)
    return train_flops_per_token(config, train.sequence, capacities) * train.batch * train.sequence


def steps_for_budget(config: Config, budget: float) -> int:
    """Steps until the budget is spent; the last may exceed it by a part of a step."""
    warmup = config.router.capacity_warmup_steps if config.router else 0
    spent = 0.0
    for step in range(warmup):
        if spent >= budget:
            return step
        spent += step_flops(config, step)
    return warmup + max(0, -int(-(budget - spent) // step_flops(config, warmup)))


def kv_bytes_per_token(config: Config, bytes_per_number: int = 2) -> float:
    """Keys and values that a token leaves in the cache, on average by capacity."""
    model, recursion = config.model, config.recursion
    layers = model.num_hidden_layers
    per_layer = 2.0 * model.num_key_value_heads * model.head_dim * bytes_per_number
    if config.kv.mode == "share":
        slots = sharing_map(config.kv.sharing or recursion.sharing, layers, config.kv.count or recursion.count).unique
        return per_layer * len(set(slots))
    if config.router is None:
        return per_layer * layers
    sharing = sharing_map(recursion.sharing, layers, recursion.count)
    return per_layer * sum(1.0 if one is None else config.capacities()[one] for one in sharing.recursion)
