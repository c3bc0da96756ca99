"""Makes the tables of tests/files/quantise: which types llama.cpp's own `llama_model_quantize` gives to tensors.

    python3 tests/oracles/mixtures.py package/bins/linux-x64 tests/cache/SmolLM2-135M-Instruct.Q4_1.gguf

needs gguf and numpy, and the libraries of llama.cpp that the npm package `@node-llama-cpp/linux-x64` (3.22.1, llama.cpp
v0.5.0) holds (`npm pack` fetches it). It writes

    smollm2.txt   name, and for each mixture type and hash of the bytes, for the matrices of SmolLM2
    shapes.txt    for models of random numbers, of several shapes: for each mixture the types of embedding, head, and the
                  seven linears of each layer, one letter each
"""

import ctypes
import hashlib
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np

OUT = Path(__file__).parent.parent / "files" / "quantise"
MIXTURES = {"q4_k_m": 15, "q5_k_m": 17, "q6_k": 18, "q8_0": 7}
LINEARS = ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"]
# Layers, tied, heads, key heads, hidden, intermediate; heads have 32 numbers.
SHAPES = [
    (1, 1, 8, 4, 256, 256), (2, 0, 8, 4, 256, 256), (7, 1, 8, 4, 256, 256), (8, 1, 8, 8, 256, 512),
    (13, 0, 8, 1, 256, 256), (16, 1, 8, 2, 256, 256), (30, 1, 3, 1, 96, 256), (32, 0, 8, 2, 256, 256),
    (80, 0, 8, 1, 256, 256), (80, 0, 8, 8, 256, 256), (80, 1, 8, 4, 256, 256), (4, 0, 2, 1, 64, 160),
    (3, 1, 8, 4, 256, 80), (3, 0, 8, 4, 256, 16), (2, 1, 2, 1, 80, 256), (2, 0, 2, 1, 80, 256),
]  # fmt: skip
LETTERS = {"Q4_K": "4", "Q5_K": "5", "Q6_K": "6", "Q8_0": "8", "Q5_0": "a", "Q5_1": "b", "F16": "h", "F32": "f"}


class Settings(ctypes.Structure):
    """llama_model_quantize_params."""

    _fields_ = [(name, ctypes.c_int) for name in ["threads", "file_type", "output_type", "embedding_type"]]
    _fields_ += [
        (name, ctypes.c_bool)
        for name in ["allow_requantize", "quantise_output", "only_copy", "pure", "keep_split", "dry_run"]
    ]
    _fields_ += [(name, ctypes.c_void_p) for name in ["matrix", "overrides", "types", "prune"]]


class Llama:
    def __init__(self, folder: Path):
        self.library = ctypes.CDLL(str(next(folder.glob("libllama.v*.so"))))
        self.library.llama_model_quantize_default_params.restype = Settings
        self.library.llama_model_quantize.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.POINTER(Settings)]
        self.quiet = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda *_: None)
        self.library.llama_log_set(self.quiet, None)

    def quantise(self, source: Path, target: Path, file_type: int) -> gguf.GGUFReader | None:
        """The file that it writes; nothing where it refuses."""
        settings = self.library.llama_model_quantize_default_params()
        assert settings.quantise_output and not settings.pure and settings.file_type == 7
        settings.file_type, settings.allow_requantize, settings.threads = file_type, True, 2
        done = self.library.llama_model_quantize(str(source).encode(), str(target).encode(), ctypes.byref(settings))
        if done != 0:
            return None
        made = gguf.GGUFReader(target)
        assert made.fields["general.file_type"].contents() == file_type
        assert made.fields["general.quantization_version"].contents() == 2
        return made


def smollm2(llama: Llama, source: Path) -> str:
    rows: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as work:
        for name, file_type in MIXTURES.items():
            made = llama.quantise(source, Path(work) / f"{name}.gguf", file_type)
            for tensor in made.tensors:
                if len(tensor.shape) == 1:
                    assert tensor.tensor_type.name == "F32", tensor.name
                    continue
                digest = hashlib.sha256(tensor.data.tobytes()).hexdigest()[:16]
                rows.setdefault(tensor.name, []).append(f"{tensor.tensor_type.name} {digest}")
    lines = [f"{name} {' '.join(found)}" for name, found in sorted(rows.items())]
    return "\n".join(["tensor " + " ".join(f"{name} sha256" for name in MIXTURES), *lines]) + "\n"


def model(path: Path, layers: int, tied: int, heads: int, key_heads: int, hidden: int, inner: int) -> None:
    """A file that is only good for being quantised."""
    writer = gguf.GGUFWriter(path, "llama")
    for key, value in {
        "block_count": layers, "context_length": 64, "embedding_length": hidden, "feed_forward_length": inner,
        "attention.head_count": heads, "attention.head_count_kv": key_heads, "attention.key_length": 32,
        "attention.value_length": 32, "rope.dimension_count": 32, "vocab_size": 8,
    }.items():  # fmt: skip
        writer.add_uint32(f"llama.{key}", value)
    writer.add_float32("llama.attention.layer_norm_rms_epsilon", 1e-5)
    random = np.random.default_rng(layers)

    def matrix(name: str, rows: int, columns: int) -> None:
        writer.add_tensor(f"{name}.weight", random.standard_normal((rows, columns)).astype(np.float16))

    matrix("token_embd", 8, hidden)
    writer.add_tensor("output_norm.weight", np.ones(hidden, np.float32))
    if not tied:
        matrix("output", 8, hidden)
    queries, keys = 32 * heads, 32 * key_heads
    shapes = [(queries, hidden), (keys, hidden), (keys, hidden), (hidden, queries)]
    shapes += [(inner, hidden), (inner, hidden), (hidden, inner)]
    for layer in range(layers):
        for name, shape in zip(LINEARS, shapes):
            matrix(f"blk.{layer}.{name}", *shape)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def shapes(llama: Llama) -> str:
    lines = []
    for shape in SHAPES:
        lines.append(f"model {' '.join(map(str, shape))}")
        with tempfile.TemporaryDirectory() as work:
            plain = Path(work) / "plain.gguf"
            model(plain, *shape)
            for name, file_type in MIXTURES.items():
                made = llama.quantise(plain, Path(work) / f"{name}.gguf", file_type)
                if made is None:
                    lines.append(f"{name} refused")
                    continue
                types = {tensor.name: LETTERS[tensor.tensor_type.name] for tensor in made.tensors}
                per_layer = ["".join(types[f"blk.{layer}.{part}.weight"] for part in LINEARS) for layer in range(shape[0])]
                outer = types["token_embd.weight"] + types.get("output.weight", "-")
                lines.append(f"{name} {outer} {' '.join(per_layer)}")
    return "\n".join(lines) + "\n"


def main() -> None:
    llama = Llama(Path(sys.argv[1]).resolve())
    (OUT / "shapes.txt").write_text(shapes(llama))
    (OUT / "smollm2.txt").write_text(smollm2(llama, Path(sys.argv[2])))


if __name__ == "__main__":
    main()
