"""Makes the vectors of tests/files/convert/llama.rs: what llama.cpp reads, computes and quantises.

    python3 tests/oracles/llama.py target/debug/isobath

needs gguf, numpy, safetensors, tokenizers and llama-cpp-python. It writes tests/oracles/llama/:

    f32.gguf             a tiny random Llama model, written by `isobath import` from a folder that is made here
    q8_0.gguf and so on  the same, quantised by llama.cpp's own quantiser
    golden.json          tokens of texts, and logits that llama.cpp computes from f32.gguf, and from the numbers that its
                         package `gguf` makes of the quantised files (it rounds inputs of quantised matrices)
"""

import ctypes
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import gguf
import llama_cpp
import numpy as np
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

OUT = Path(__file__).parent / "llama"
HIDDEN, INNER, LAYERS, HEADS, KEY_HEADS, HEAD_DIM = 256, 32, 2, 2, 1, 16
TEXTS = ["The sea was deep.", " 12 fish,  and\n\n more?", "caf\u00e9"]
TYPES = {"q8_0": 7, "q4_0": 2, "q4_1": 3, "q6_K": 18}


def tokenizer() -> Tokenizer:
    """Every byte, one merge, one special token; split as GPT-2 does."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<|endoftext|>": 0, **{letter: place + 1 for place, letter in enumerate(letters)}}
    vocabulary["th"] = len(vocabulary)
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[("t", "h")]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken("<|endoftext|>", special=True, normalized=False)])
    return made


def folder(path: Path) -> None:
    random = np.random.default_rng(7)
    vocabulary = tokenizer()
    vocabulary.save(str(path / "tokenizer.json"))
    rows = vocabulary.get_vocab_size()

    def matrix(out: int, columns: int, scale: float = 1.0) -> np.ndarray:
        return (random.standard_normal((out, columns)) * scale / np.sqrt(columns)).astype(np.float32)

    def norm() -> np.ndarray:
        return random.uniform(0.5, 1.5, HIDDEN).astype(np.float32)

    queries, keys = HEADS * HEAD_DIM, KEY_HEADS * HEAD_DIM
    tensors = {"model.embed_tokens.weight": matrix(rows, HIDDEN, 8.0), "model.norm.weight": norm()}
    for layer in range(LAYERS):
        shapes = {
            "self_attn.q_proj": (queries, HIDDEN), "self_attn.k_proj": (keys, HIDDEN),
            "self_attn.v_proj": (keys, HIDDEN), "self_attn.o_proj": (HIDDEN, queries),
            "mlp.gate_proj": (INNER, HIDDEN), "mlp.up_proj": (INNER, HIDDEN), "mlp.down_proj": (HIDDEN, INNER),
        }  # fmt: skip
        for name, shape in shapes.items():
            tensors[f"model.layers.{layer}.{name}.weight"] = matrix(*shape, scale=2.0)
        tensors[f"model.layers.{layer}.input_layernorm.weight"] = norm()
        tensors[f"model.layers.{layer}.post_attention_layernorm.weight"] = norm()
    save_file(tensors, path / "model.safetensors", {"format": "pt"})
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "hidden_size": HIDDEN,
        "intermediate_size": INNER, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
        "num_key_value_heads": KEY_HEADS, "head_dim": HEAD_DIM, "vocab_size": rows, "max_position_embeddings": 128,
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": True, "bos_token_id": 0,
        "eos_token_id": 0,
    }  # fmt: skip
    (path / "config.json").write_text(json.dumps(config))


def computed(path: Path) -> dict:
    model = llama_cpp.Llama(
        str(path), n_ctx=64, n_batch=64, n_threads=1, logits_all=True, verbose=False, flash_attn=False,
        type_k=llama_cpp.GGML_TYPE_F32, type_v=llama_cpp.GGML_TYPE_F32,
    )  # fmt: skip
    found = {}
    for text in TEXTS:
        tokens = model.tokenize(text.encode(), add_bos=False, special=False)
        model.reset()
        model.eval(tokens)
        logits = np.array(model.scores[: len(tokens)])[-2:]
        found[text] = {"tokens": tokens, "logits": [[float(f"{x:.7g}") for x in row] for row in logits]}
    return found


def quantise(source: Path, target: Path, file_type: int) -> None:
    settings = llama_cpp.llama_model_quantize_default_params()
    settings.ftype, settings.pure, settings.nthread = file_type, True, 1
    done = llama_cpp.llama_model_quantize(str(source).encode(), str(target).encode(), ctypes.byref(settings))
    assert done == 0, f"llama.cpp cannot quantise to {target}"


def dequantised(plain: Path, packed: Path, target: Path) -> None:
    """The f32 file with the numbers of the quantised one."""
    shutil.copyfile(plain, target)
    theirs = {tensor.name: tensor for tensor in gguf.GGUFReader(packed).tensors}
    for tensor in gguf.GGUFReader(target, "r+").tensors:
        packed_one = theirs[tensor.name]
        tensor.data[:] = gguf.dequantize(packed_one.data, packed_one.tensor_type).reshape(tensor.data.shape)


def main() -> None:
    OUT.mkdir(exist_ok=True)
    plain = OUT / "f32.gguf"
    with tempfile.TemporaryDirectory() as name:
        folder(Path(name))
        subprocess.run([sys.argv[1], "import", name, str(plain), "--force"], check=True)
    golden = {"f32": computed(plain)}
    for name, file_type in TYPES.items():
        quantise(plain, OUT / f"{name}.gguf", file_type)
        with tempfile.TemporaryDirectory() as work:
            dequantised(plain, OUT / f"{name}.gguf", Path(work) / "plain.gguf")
            golden[name] = computed(Path(work) / "plain.gguf")
    (OUT / "golden.json").write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
