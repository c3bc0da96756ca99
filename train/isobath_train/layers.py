"""Parts of a Llama layer, and the layer itself: pre-norm attention and SwiGLU, no biases."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import causal_attention
from .config import ModelConfig


class Normalise(torch.autograd.Function):
    """x * rsqrt(mean(x^2) + eps) * weight with few passes over x in both directions."""

    @staticmethod
    def forward(context, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        size = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        scale = size.square_().div_(x.shape[-1]).add_(eps).rsqrt_()
        context.save_for_backward(x, weight, scale)
        return (x * scale).mul_(weight)

    @staticmethod
    def backward(context, gradient: Tensor):
        x, weight, scale = context.saved_tensors
        scaled = x * scale
        for_weight = (gradient * scaled).flatten(0, -2).sum(dim=0)
        gradient = gradient * weight
        mean = (gradient * scaled).mean(dim=-1, keepdim=True)
        return gradient.addcmul_(scaled, mean, value=-1.0).mul_(scale), for_weight, None


class RmsNorm(nn.Module):
    """x * rsqrt(mean(x^2) + eps) in f32, then times the weight (arXiv 1910.07467)."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """[.., d] -> [.., d]"""
        if x.element_size() < 4:
            return F.rms_norm(x.float(), x.shape[-1:], None, self.eps).to(x.dtype) * self.weight
        return Normalise.apply(x, self.weight, self.eps)


class SwiGlu(torch.autograd.Function):
    """silu(gate) * up of [.., 2f], gate first (arXiv 2002.05202); the gradient is written where it belongs."""

    @staticmethod
    def forward(context, gate_up: Tensor) -> Tensor:
        context.save_for_backward(gate_up)
        gate, up = gate_up.chunk(2, dim=-1)
        return F.silu(gate).mul_(up)

    @staticmethod
    def backward(context, gradient: Tensor) -> Tensor:
        (gate_up,) = context.saved_tensors
        gate, up = gate_up.chunk(2, dim=-1)
        result = torch.empty_like(gate_up)
        for_gate, for_up = result.chunk(2, dim=-1)
        share = gate.sigmoid()
        torch.mul(gate, share, out=for_up)
        # The derivative of silu is share + silu - share * silu.
        torch.addcmul(for_up, share, for_up, value=-1.0, out=for_gate)
        for_gate.add_(share).mul_(up).mul_(gradient)
        for_up.mul_(gradient)
        return result


class Rotation(torch.autograd.Function):
    """Rotary embedding (arXiv 2104.09864) of the half-split kind: pair i is (x[i], x[i + h/2]). A rotation's
    gradient is the opposite rotation, so nothing but the tables is kept."""

    @staticmethod
    def rotate(x: Tensor, cosine: Tensor, sine: Tensor, sign: float) -> Tensor:
        half = x.shape[-1] // 2
        low, high = x[..., :half], x[..., half:]
        result = torch.empty_like(x)
        torch.mul(low, cosine, out=result[..., :half]).addcmul_(high, sine, value=-sign)
        torch.mul(high, cosine, out=result[..., half:]).addcmul_(low, sine, value=sign)
        return result

    @staticmethod
    def forward(context, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        """x [B, S, heads, h]; tables broadcast to [B, S, 1, h/2]."""
        context.save_for_backward(cosine, sine)
        return Rotation.rotate(x, cosine, sine, 1.0)

    @staticmethod
    def backward(context, gradient: Tensor):
        cosine, sine = context.saved_tensors
        return Rotation.rotate(gradient, cosine, sine, -1.0), None, None


def rotary_tables(positions: int, head_dim: int, theta: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines [positions, h/2] of position * theta^(-2i/h)."""
    frequency = theta ** (-torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim)
    angle = torch.arange(positions, dtype=torch.float32)[:, None] * frequency
    return angle.cos(), angle.sin()


class LayerLinears(nn.Module):
    """The four matrices of a layer. q, k, v lie in one, gate and up in another: fewer, larger products."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        queries = config.num_attention_heads * config.head_dim
        keys = config.num_key_value_heads * config.head_dim
        self.sizes = (queries, keys, config.intermediate_size)
        self.heads = (config.num_attention_heads, config.num_key_value_heads, config.head_dim)
        self.qkv = nn.Parameter(torch.empty(queries + 2 * keys, config.hidden_size))
        self.output = nn.Parameter(torch.empty(config.hidden_size, queries))
        self.gate_up = nn.Parameter(torch.empty(2 * config.intermediate_size, config.hidden_size))
        self.down = nn.Parameter(torch.empty(config.hidden_size, config.intermediate_size))
        for weight in self.parameters():
            nn.init.normal_(weight, std=config.initializer_range)

    def rows(self, name: str) -> tuple[nn.Parameter, slice]:
        """Where the matrix of a Llama name lies: the parameter and its rows."""
        queries, keys, inner = self.sizes
        return {
            "q_proj": (self.qkv, slice(0, queries)),
            "k_proj": (self.qkv, slice(queries, queries + keys)),
            "v_proj": (self.qkv, slice(queries + keys, queries + 2 * keys)),
            "o_proj": (self.output, slice(0, self.output.shape[0])),
            "gate_proj": (self.gate_up, slice(0, inner)),
            "up_proj": (self.gate_up, slice(inner, 2 * inner)),
            "down_proj": (self.down, slice(0, self.down.shape[0])),
        }[name]


class LayerNorms(nn.Module):
    """The two norms of a layer."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attention = RmsNorm(config.hidden_size, config.rms_norm_eps)
        self.feed_forward = RmsNorm(config.hidden_size, config.rms_norm_eps)


class Adapter(nn.Module):
    """scale * B (A x) (arXiv 2106.09685). A starts random, B at zero, so that a fresh adapter changes nothing."""

    def __init__(self, inputs: int, outputs: int, rank: int, scale: float) -> None:
        super().__init__()
        rank = min(rank, inputs, outputs)
        self.a = nn.Parameter(torch.randn(rank, inputs) * inputs**-0.5)
        self.b = nn.Parameter(torch.zeros(outputs, rank))
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """[.., in] -> [.., out]"""
        return F.linear(F.linear(x, self.a), self.b) * self.scale


Adapters = nn.ModuleDict | dict


def adapted(result: Tensor, x: Tensor, adapters: Adapters, names: tuple[str, ...], sizes: tuple[int, ...]) -> Tensor:
    """Adds the adapters of several matrices that lie one above the other to their common product."""
    if not any(name in adapters for name in names):
        return result
    parts = []
    for name, size in zip(names, sizes, strict=True):
        parts.append(adapters[name](x) if name in adapters else x.new_zeros(*x.shape[:-1], size))
    return result + torch.cat(parts, dim=-1)


KeysValues = tuple[Tensor, Tensor]


def attend(q: Tensor, keys_values: KeysValues, mask: Tensor | None) -> Tensor:
    """Softmax attention [B, T, H, h] over keys [B, S, K, h]; query head i uses key head i // (H/K). `mask` is
    [B, 1, T, S], true where seen; None is plain causal."""
    k, v = (one.transpose(1, 2) for one in keys_values)
    if mask is None and q.dtype == torch.bfloat16 and q.device.type == "cpu":
        return causal_attention(q.transpose(1, 2), k, v).transpose(1, 2).flatten(2)
    shared = q.shape[2] // k.shape[1]
    if shared > 1:
        batch, heads, length, size = k.shape
        k, v = (one[:, :, None].expand(batch, heads, shared, length, size).flatten(1, 2) for one in (k, v))
    q = q.transpose(1, 2)
    result = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
    return result.transpose(1, 2).flatten(2)


def layer_forward(
    linears: LayerLinears,
    norms: LayerNorms,
    adapters: Adapters,
    x: Tensor,
    tables: tuple[Tensor, Tensor],
    mask: Tensor | None,
    shared: KeysValues | None,
) -> tuple[Tensor, KeysValues]:
    """One layer: x [B, T, d] -> [B, T, d] and the keys (rotated) and values [B, S, K, h] that it attended to. With
    `shared` the layer computes queries alone and attends to those (MoR section 2.2.2)."""
    heads, key_heads, size = linears.heads
    queries, keys, inner = linears.sizes
    normed = norms.attention(x)
    if shared is None:
        qkv = F.linear(normed, linears.qkv)
        qkv = adapted(qkv, normed, adapters, ("q_proj", "k_proj", "v_proj"), (queries, keys, keys))
        qkv = qkv.unflatten(-1, (heads + 2 * key_heads, size))
        turning, values = qkv.split([heads + key_heads, key_heads], dim=2)
        q, turned_keys = Rotation.apply(turning, *tables).split([heads, key_heads], dim=2)
        shared = (turned_keys, values)
    else:
        q = adapted(F.linear(normed, linears.qkv[:queries]), normed, adapters, ("q_proj",), (queries,))
        q = Rotation.apply(q.unflatten(-1, (heads, size)), *tables)
    mixed = attend(q, shared, mask)
    x = x + adapted(F.linear(mixed, linears.output), mixed, adapters, ("o_proj",), (x.shape[-1],))
    normed = norms.feed_forward(x)
    gate_up = adapted(F.linear(normed, linears.gate_up), normed, adapters, ("gate_proj", "up_proj"), (inner, inner))
    hidden = SwiGlu.apply(gate_up)
    return x + adapted(F.linear(hidden, linears.down), hidden, adapters, ("down_proj",), (x.shape[-1],)), shared
