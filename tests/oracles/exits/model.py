"""The plain model: a Llama of RMS norms, rotary positions, grouped key heads and SwiGLU, in float64.

A `Cache` holds, for each layer, which positions have keys and values. A layer attends over the positions that are there
and not later than its row's own, so a cache with holes needs no rule of its own. Keys are kept after their rotation, which
is by the token's place in the text.
"""

from dataclasses import dataclass

import numpy as np

PLACES = 128


@dataclass(frozen=True)
class Shape:
    """What `config.json` says of the network."""

    layers: int
    hidden: int
    heads: int
    key_heads: int
    head_dim: int
    vocabulary: int
    epsilon: float
    rope_theta: float

    @staticmethod
    def of(config: dict) -> "Shape":
        return Shape(
            config["num_hidden_layers"], config["hidden_size"], config["num_attention_heads"],
            config["num_key_value_heads"], config["head_dim"], config["vocab_size"], config["rms_norm_eps"],
            config["rope_theta"],
        )  # fmt: skip


class Cache:
    """Keys and values of one text."""

    def __init__(self, shape: Shape, layers: int):
        self.keys = np.zeros((layers, PLACES, shape.key_heads, shape.head_dim))
        self.values = np.zeros_like(self.keys)
        self.there = np.zeros((layers, PLACES), bool)

    def write(self, layer: int, positions: np.ndarray, keys: np.ndarray, values: np.ndarray) -> None:
        self.keys[layer, positions], self.values[layer, positions] = keys, values
        self.there[layer, positions] = True

    def cut(self, length: int) -> None:
        """Forgets, in all layers, what stands at `length` and behind it."""
        self.there[:, length:] = False

    def positions(self, layer: int) -> list[int]:
        return np.nonzero(self.there[layer])[0].tolist()


def softmax(logits: np.ndarray) -> np.ndarray:
    grown = np.exp(logits - logits.max(-1, keepdims=True))
    return grown / grown.sum(-1, keepdims=True)


def log_sum(logits: np.ndarray) -> float:
    return float(logits.max() + np.log(np.exp(logits - logits.max()).sum()))


class Model:
    """Tensors by their names in the file, and what is computed from them. `exits` are the depths of heads of their own."""

    def __init__(self, shape: Shape, tensors: dict[str, np.ndarray], exits: list[int] | None = None):
        self.shape, self.exits = shape, exits or []
        self.tensors = {name: tensor.astype(np.float64) for name, tensor in tensors.items()}
        self.head = self.tensors.get("lm_head.weight", self.tensors["model.embed_tokens.weight"])

    def cache(self) -> Cache:
        return Cache(self.shape, self.shape.layers)

    def embed(self, tokens: list[int]) -> np.ndarray:
        return self.tensors["model.embed_tokens.weight"][tokens]

    def norm(self, rows: np.ndarray, name: str = "model.norm.weight") -> np.ndarray:
        mean = (rows * rows).mean(-1, keepdims=True)
        return rows / np.sqrt(mean + self.shape.epsilon) * self.tensors[name]

    def logits(self, rows: np.ndarray) -> np.ndarray:
        """Final norm and head, whatever the depth of the rows."""
        return self.norm(rows) @ self.head.T

    def linear(self, block: str, part: str, rows: np.ndarray) -> np.ndarray:
        return rows @ self.tensors[f"{block}.{part}.weight"].T

    def rotated(self, rows: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """`rows` are [rows, heads, head_dim]; the first half of a head turns with the second."""
        half = self.shape.head_dim // 2
        angles = positions[:, None] * self.shape.rope_theta ** (-np.arange(half) / half)
        cosine, sine = np.cos(angles)[:, None], np.sin(angles)[:, None]
        first, second = rows[..., :half], rows[..., half:]
        return np.concatenate([first * cosine - second * sine, second * cosine + first * sine], -1)

    def normed_input(self, block: str, rows: np.ndarray) -> np.ndarray:
        """A block without a norm at its input takes the rows as they are."""
        name = f"{block}.input_layernorm.weight"
        return self.norm(rows, name) if name in self.tensors else rows

    def project(self, layer: int, rows: np.ndarray, positions: np.ndarray, cache: Cache, block: str = "") -> None:
        """Writes a layer's keys and values of these rows, and computes nothing else of it."""
        block = block or f"model.layers.{layer}"
        normed, split = self.normed_input(block, rows), (len(rows), self.shape.key_heads, self.shape.head_dim)
        keys = self.rotated(self.linear(block, "self_attn.k_proj", normed).reshape(split), positions)
        cache.write(layer, positions, keys, self.linear(block, "self_attn.v_proj", normed).reshape(split))

    def layer(self, layer: int, rows: np.ndarray, positions: np.ndarray, cache: Cache, block: str = "") -> np.ndarray:
        block, shape = block or f"model.layers.{layer}", self.shape
        self.project(layer, rows, positions, cache, block)
        normed = self.normed_input(block, rows)
        queries = self.linear(block, "self_attn.q_proj", normed).reshape(len(rows), shape.heads, shape.head_dim)
        queries = self.rotated(queries, positions)
        there = np.nonzero(cache.there[layer])[0]
        shared = shape.heads // shape.key_heads
        keys = cache.keys[layer, there].repeat(shared, 1)
        values = cache.values[layer, there].repeat(shared, 1)
        scores = np.einsum("rhd,phd->hrp", queries, keys) / np.sqrt(shape.head_dim)
        scores = np.where(there[None, :] > positions[:, None], -np.inf, scores)
        mixed = np.einsum("hrp,phd->rhd", softmax(scores), values).reshape(len(rows), -1)
        rows = rows + self.linear(block, "self_attn.o_proj", mixed)
        normed = self.norm(rows, f"{block}.post_attention_layernorm.weight")
        gate = self.linear(block, "mlp.gate_proj", normed)
        inner = gate / (1 + np.exp(-gate)) * self.linear(block, "mlp.up_proj", normed)
        return rows + self.linear(block, "mlp.down_proj", inner)

    def run(self, rows: np.ndarray, positions, cache: Cache, first: int = 0, end: int | None = None) -> np.ndarray:
        """Layers `first` to `end - 1`; to the last where no end is given."""
        positions = np.asarray(positions)
        for layer in range(first, self.shape.layers if end is None else end):
            rows = self.layer(layer, rows, positions, cache)
        return rows

    def prompt(self, tokens: list[int], cache: Cache) -> np.ndarray:
        """The whole prompt at full depth; its rows after the last layer."""
        return self.run(self.embed(tokens), np.arange(len(tokens)), cache)
