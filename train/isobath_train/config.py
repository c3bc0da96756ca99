"""Every setting of a run, read from one TOML file. An unknown key is refused by name."""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LINEARS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass
class ModelConfig:
    """The Llama skeleton. `num_hidden_layers` counts unrolled layers, as the engine's config.json does."""

    vocab_size: int = 4096
    hidden_size: int = 192
    intermediate_size: int = 512
    num_hidden_layers: int = 8
    num_attention_heads: int = 3
    num_key_value_heads: int = 1
    head_dim: int = 64
    max_position_embeddings: int = 256
    rms_norm_eps: float = 1e-5
    rope_theta: float = 10000.0
    tie_word_embeddings: bool = True
    initializer_range: float = 0.02


@dataclass
class RecursionConfig:
    """Which layers share parameters (MoR section 2.1)."""

    count: int = 3
    sharing: str = "middle_cycle"
    share_norms: bool = True


@dataclass
class KvConfig:
    """`own`: recursion-wise cache. `share`: the keys and values of a group's first layer (MoR section 2.2.2)."""

    mode: str = "own"
    count: int | None = None
    sharing: str | None = None


@dataclass
class LoraConfig:
    """Adapters per unrolled layer (RRT section 3): y = W x + scale * B (A x)."""

    rank: int = 8
    scale: float = 1.0
    targets: list[str] = field(default_factory=lambda: list(LINEARS))


@dataclass
class RouterConfig:
    """Who decides on depth (MoR section 2.2.1), with what only training needs after the blank line."""

    kind: str = "expert"
    network: str = "linear"
    function: str = "sigmoid"
    alpha: float = 0.1
    gating: str = "weighted"
    temperature: float = 1.0
    auxiliary: bool = False
    bias: bool = False
    capacity: list[float] | None = None
    gate_first: bool = False

    auxiliary_coefficient: float = 0.001
    z_coefficient: float = 0.0
    capacity_warmup_steps: int = 0
    balancing: str = "loss"
    balancing_coefficient: float = 0.1
    bias_update: float = 0.001


@dataclass
class DistilConfig:
    """A trained teacher whose logits the model follows as well (RRT section 3.4)."""

    teacher: str = ""
    temperature: float = 1.0
    weight: float = 0.5


@dataclass
class LayerSkipConfig:
    """Training for early exits (LayerSkip, arXiv 2404.16710): `dropout` is the rate at which samples skip the last
    layer, `exit_scale` what an earlier layer's loss counts against the last one's, `rotation` every how many layers
    one is trained in a step."""

    dropout: float = 0.1
    ramp: bool = False
    exit_scale: float = 1.0
    weights: str = "linear"
    curriculum: str = "rotational"
    rotation: int = 4


@dataclass
class TrainConfig:
    """Optimisation. Either `steps` or `flops_budget` ends a run; the budget wins where both are given."""

    corpus: str = "train/runs/corpus"
    seed: int = 1
    device: str = "auto"
    precision: str = "auto"
    sequence: int = 256
    batch: int = 16
    micro_batch: int = 16
    steps: int = 0
    flops_budget: float = 0.0
    learning_rate: float = 3e-3
    final_learning_rate: float = 0.0
    warmup_steps: int = 100
    decay_fraction: float = 0.2
    weight_decay: float = 0.1
    beta_1: float = 0.9
    beta_2: float = 0.95
    clip: float = 1.0
    log_every: int = 10
    evaluate_every: int = 250
    evaluate_windows: int = 64
    checkpoint_minutes: float = 5.0
    keep_every: int = 2000


@dataclass
class Config:
    """A whole run. A part that is None is off: no `[recursion]` is a plain Llama model."""

    model: ModelConfig = field(default_factory=ModelConfig)
    recursion: RecursionConfig | None = None
    kv: KvConfig = field(default_factory=KvConfig)
    lora: LoraConfig | None = None
    router: RouterConfig | None = None
    distil: DistilConfig | None = None
    layer_skip: LayerSkipConfig | None = None
    train: TrainConfig = field(default_factory=TrainConfig)

    def capacities(self) -> list[float]:
        """Share of the tokens that runs each recursion: the config's, else (N - r) / N (MoR section 3)."""
        assert self.recursion is not None
        count = self.recursion.count
        if self.router is not None and self.router.capacity is not None:
            return list(self.router.capacity)
        return [(count - recursion) / count for recursion in range(count)]

    def to_dict(self) -> dict[str, Any]:
        return {name: part for name, part in dataclasses.asdict(self).items() if part is not None}


PARTS = {
    "model": ModelConfig, "recursion": RecursionConfig, "kv": KvConfig, "lora": LoraConfig, "router": RouterConfig,
    "distil": DistilConfig, "layer_skip": LayerSkipConfig, "train": TrainConfig,
}  # fmt: skip


def config_from_dict(values: dict[str, Any]) -> Config:
    """Builds and checks a config; raises ValueError with what is wrong."""
    unknown = set(values) - set(PARTS)
    if unknown:
        raise ValueError(f"unknown part {sorted(unknown)}; known are {sorted(PARTS)}")
    parts = {}
    for name, settings in values.items():
        known = {one.name for one in dataclasses.fields(PARTS[name])}
        if set(settings) - known:
            raise ValueError(f"unknown setting {sorted(set(settings) - known)} in [{name}]; known are {sorted(known)}")
        parts[name] = PARTS[name](**settings)
    config = Config(**parts)
    check(config)
    return config


def read_config(path: str | Path) -> Config:
    """Reads a TOML file."""
    return config_from_dict(tomllib.loads(Path(path).read_text()))


def require(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)


def check_layer_skip(config: Config) -> None:
    """Early exits are trained in plain models alone."""
    skip = config.layer_skip
    require(config.recursion is None and config.kv.mode == "own", "layer_skip is for models that share nothing")
    require(config.distil is None, "layer_skip and distil together are not supported here")
    require(config.model.num_hidden_layers > 1, "layer_skip needs two layers or more")
    require(0 <= skip.dropout < 1, f"layer_skip.dropout is {skip.dropout}; at least 0 and below 1")
    require(skip.exit_scale >= 0, f"layer_skip.exit_scale is {skip.exit_scale}; at least 0")
    require(skip.weights in ("uniform", "sqrt", "linear", "sum"), f"layer_skip.weights is {skip.weights!r}")
    require(skip.curriculum in ("rotational", "gradual", "all"), f"layer_skip.curriculum is {skip.curriculum!r}")
    require(skip.rotation >= 1, f"layer_skip.rotation is {skip.rotation}; at least 1")


def check(config: Config) -> None:
    """Refuses combinations that neither the papers nor the engine have."""
    model, recursion, router, kv = config.model, config.recursion, config.router, config.kv
    require(model.num_attention_heads % model.num_key_value_heads == 0, "key/value heads must divide the heads")
    require(kv.mode in ("own", "share"), f"kv.mode is {kv.mode!r}; own or share")
    require(config.train.batch % config.train.micro_batch == 0, "micro_batch must divide batch")
    require(config.train.precision in ("auto", "f32", "bf16"), f"train.precision is {config.train.precision!r}")
    if config.layer_skip is not None:
        check_layer_skip(config)
    if recursion is None:
        require(router is None and config.lora is None, "a router and adapters need [recursion]")
        require(kv.mode == "own" or (kv.count and kv.sharing), "kv share without [recursion] needs count and sharing")
    if config.lora is not None:
        require(set(config.lora.targets) <= set(LINEARS), f"lora.targets must be among {LINEARS}")
        require(router is None, "adapters and a router together are not supported here")
    if router is None or recursion is None:
        return
    require(recursion.sharing in ("cycle", "middle_cycle"), "a router needs sharing cycle or middle_cycle")
    functions = {"expert": ("sigmoid", "tanh", "none"), "token": ("softmax", "sigmoid")}
    require(router.kind in functions, f"router.kind is {router.kind!r}; expert or token")
    require(router.function in functions[router.kind], f"router.function must be among {functions[router.kind]}")
    require(router.network in ("linear", "mlp", "wide_mlp"), f"router.network is {router.network!r}")
    require(router.gating in ("weighted", "additive"), f"router.gating is {router.gating!r}")
    require(router.balancing in ("loss", "loss_free"), f"router.balancing is {router.balancing!r}")
    capacity = config.capacities()
    require(len(capacity) == recursion.count, "router.capacity needs one number per recursion")
    require(all(0 < one <= 1 for one in capacity), "router.capacity must lie above 0 and at most at 1")
    require(sorted(capacity, reverse=True) == capacity, "router.capacity must never rise")
