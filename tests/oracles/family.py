"""Writes tests/family/*.json: what transformers computes for small random models of each member of the Llama family.

    python tests/oracles/family.py [NAME...]

Weights are not stored: they are the numbers of `src/files/random.rs` for the case's seed, so that a case is its
`config.json` as transformers writes it, a prompt, a greedy continuation, and logits at some positions.
"""

import json
import pathlib
import sys

import numpy
import torch
import transformers

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "family"
MASK = (1 << 64) - 1
# Smallest distance of a greedy token to the next best, so that rounding cannot change the continuation.
MARGIN = 0.01

SMALL = dict(vocab_size=96, hidden_size=64, intermediate_size=80, num_hidden_layers=3, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=512, rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2,
             pad_token_id=None, initializer_range=0.02)
LLAMA_3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
               original_max_position_embeddings=48, rope_theta=5000.0)


def cases():
    plain = dict(rope_type="default", rope_theta=10000.0)
    t = transformers
    yield "llama_plain", t.LlamaConfig(**SMALL, rope_parameters=plain), 60
    yield "llama_3_rope", t.LlamaConfig(**SMALL, rope_parameters=LLAMA_3, tie_word_embeddings=True), 90
    yield "llama_bias_linear_rope", t.LlamaConfig(
        **SMALL, rope_parameters=dict(rope_type="linear", factor=4.0, rope_theta=10000.0), attention_bias=True,
        mlp_bias=True), 60
    yield "mistral_window", t.MistralConfig(**SMALL, rope_parameters=plain, head_dim=24, sliding_window=40), 300
    yield "mistral_no_window", t.MistralConfig(**SMALL, rope_parameters=plain, sliding_window=None), 60
    yield "qwen_2", t.Qwen2Config(**SMALL, rope_parameters=plain, tie_word_embeddings=True), 60
    yield "qwen_2_window", t.Qwen2Config(**SMALL, rope_parameters=plain, use_sliding_window=True, sliding_window=16,
                                         max_window_layers=1), 60
    yield "qwen_3", t.Qwen3Config(**SMALL, rope_parameters=plain, head_dim=32, tie_word_embeddings=True), 60
    yield "qwen_3_bias_window", t.Qwen3Config(
        **SMALL, rope_parameters=plain, head_dim=16, attention_bias=True, use_sliding_window=True, sliding_window=13,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"]), 60
    yield "gemma", t.GemmaConfig(**{**SMALL, "num_key_value_heads": 1}, rope_parameters=plain, head_dim=32), 60


def random_tensor(seed, name, shape, norm_offset):
    """`Random::tensor` of src/files/random.rs."""
    state = (seed ^ 0x9E37_79B9_7F4A_7C15) & MASK
    for byte in name.encode():
        state = ((state ^ byte) * 0x100_0000_01B3) & MASK
    f32 = numpy.float32
    if name.endswith(".bias"):
        middle, size = f32(0.0), f32(0.2)
    elif len(shape) == 1:
        middle, size = f32(1.0) - f32(norm_offset), f32(0.3)
    elif name == "model.embed_tokens.weight":
        middle, size = f32(0.0), f32(1.0)
    else:
        middle, size = f32(0.0), f32(1.7) / numpy.sqrt(f32(shape[1]))
    uniform = numpy.empty(int(numpy.prod(shape)), dtype=numpy.float32)
    for index in range(uniform.size):
        state = (state * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407) & MASK
        uniform[index] = f32(state >> 40) / f32(1 << 23) - f32(1.0)
    return torch.from_numpy((middle + size * uniform).reshape(shape))


def model_of(config, seed):
    config._attn_implementation = "eager"
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    offset = 1.0 if config.model_type == "gemma" else 0.0
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(random_tensor(seed, name, tuple(parameter.shape), offset))
    return model


def run(model, prompt, steps):
    """Logits of all positions, recomputed from the whole text at each step."""
    tokens, margin = list(prompt), float("inf")
    with torch.no_grad():
        for _ in range(steps):
            best = model(torch.tensor([tokens]), use_cache=False).logits[0, -1].topk(2)
            margin = min(margin, float(best.values[0] - best.values[1]))
            tokens.append(int(best.indices[0]))
        return tokens, model(torch.tensor([tokens]), use_cache=False).logits[0].numpy(), margin


def write(name, config, length):
    for seed in range(1, 100):
        model = model_of(config, seed)
        prompt = [(position * 17 + position * position * 5 + seed) % config.vocab_size for position in range(length)]
        tokens, logits, margin = run(model, prompt, 12)
        if margin > MARGIN:
            break
    positions = sorted({0, 1, length - 1, len(tokens) - 1} | set(range(0, len(tokens), max(1, length // 10))))
    number = lambda value: float(f"{value:.7g}")
    case = {
        "transformers": transformers.__version__,
        "seed": seed,
        "config": json.loads(config.to_json_string(use_diff=False)),
        "prompt": prompt,
        "greedy": tokens[length:],
        "logits": {str(position): [number(x) for x in logits[position]] for position in positions},
    }
    # What transformers adds to every config and no model is decided by.
    noise = ["transformers_version", "dtype", "_name_or_path", "id2label", "label2id", "problem_type", "return_dict",
             "output_hidden_states", "output_attentions", "chunk_size_feed_forward", "is_encoder_decoder",
             "attn_implementation", "_attn_implementation"]
    for key in noise:
        case["config"].pop(key, None)
    text = json.dumps(case)
    (FOLDER / f"{name}.json").write_text(text + "\n")
    print(f"{name}: seed {seed}, margin {margin:.3f}, logits up to {abs(logits).max():.2f}, {len(text)} bytes")


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, config, length in cases():
        if len(sys.argv) == 1 or name in sys.argv[1:]:
            write(name, config, length)
