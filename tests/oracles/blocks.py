"""Makes tests/files/model_files/blocks.gguf: of every quantised type a row of random blocks, and its weights by the package `gguf`.

    python3 tests/oracles/blocks.py

needs gguf and numpy. The tensor `model.TYPE` holds the blocks, `model.TYPE.weights` what they mean, in f32.
"""

from pathlib import Path

import gguf
import numpy as np

OUT = Path(__file__).parent.parent / "files" / "model_files" / "blocks.gguf"
WEIGHTS = 512
# Where an f16 stands in a block: its exponent must not mean infinity or NaN.
HALVES = {
    "Q8_0": [0],
    "Q4_0": [0],
    "Q4_1": [0, 2],
    "Q5_0": [0],
    "Q5_1": [0, 2],
    "Q2_K": [80, 82],
    "Q3_K": [108],
    "Q4_K": [0, 2],
    "Q5_K": [0, 2],
    "Q6_K": [208],
    "IQ4_NL": [0],
    "IQ4_XS": [0],
}


def main() -> None:
    random = np.random.default_rng(20)
    writer = gguf.GGUFWriter(OUT, "llama")
    for name, halves in HALVES.items():
        kind = gguf.GGMLQuantizationType[name]
        per_block, size = gguf.GGML_QUANT_SIZES[kind]
        blocks = random.integers(0, 256, (WEIGHTS // per_block, size), dtype=np.uint8)
        for at in halves:
            blocks[:, at + 1] &= 0xBF
        row = blocks.reshape(1, -1)
        # The name as ggml writes it.
        name = name.lower().replace("_k", "_K")
        writer.add_tensor(f"model.{name}", row, raw_dtype=kind)
        writer.add_tensor(f"model.{name}.weights", gguf.dequantize(row, kind).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
