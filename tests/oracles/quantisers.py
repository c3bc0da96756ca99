"""Makes tests/files/quantise/quantisers.json: hashes of what ggml's quantisers, without an importance matrix, make of numbers.

    python3 tests/oracles/quantisers.py package/bins/linux-x64

needs numpy, and the libraries of llama.cpp that the npm package `@node-llama-cpp/linux-x64` (3.22.1, llama.cpp v0.5.0)
holds (`npm pack` fetches it). tests/files/quantise/quantisers.rs makes the same numbers by the same integers.
"""

import ctypes
import hashlib
import json
import sys
from pathlib import Path

import numpy as np

OUT = Path(__file__).parent.parent / "files" / "quantise" / "quantisers.json"
# ggml's number, numbers and bytes of a block.
TYPES = {
    "q8_0": (8, 32, 34), "q4_0": (2, 32, 18), "q4_1": (3, 32, 20), "q5_0": (6, 32, 22), "q5_1": (7, 32, 24),
    "q4_K": (12, 256, 144), "q5_K": (13, 256, 176), "q6_K": (14, 256, 210),
}  # fmt: skip
F32 = np.float32
MANY, SOME = 65536, 4096
BELLS = [-149, -145, -140, -130, -126, -100, -60, -30, -20, -10, 10, 14, 18, 60, 100, 125]


def integers(count: int, seed: int) -> np.ndarray:
    """24 bits each of a linear congruential generator."""
    state, found = seed, []
    for _ in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        found.append(state >> 40)
    return np.array(found, dtype=np.int64)


def uniform(count: int, seed: int) -> np.ndarray:
    return (integers(count, seed) - 2**23).astype(F32) / F32(2**23)


def bell(count: int, seed: int) -> np.ndarray:
    four = integers(4 * count, seed).reshape(count, 4).sum(axis=1)
    return (four - 2**25).astype(F32) / F32(2**23)


def cases() -> dict[str, np.ndarray]:
    numbers = {"uniform": uniform(MANY, 1), "bell": bell(MANY, 2)}
    third = uniform(MANY, 3)
    numbers["tails"] = third * third * third
    numbers["positive"] = np.abs(uniform(SOME, 4))
    numbers["negative"] = -np.abs(uniform(SOME, 5))
    numbers["offset"] = uniform(SOME, 6) / F32(8) + F32(5)
    numbers["offset below"] = uniform(SOME, 7) / F32(8) - F32(5)
    numbers["ternary"] = (integers(SOME, 8) % 3 - 1).astype(F32)
    numbers["steps"] = (integers(SOME, 9) % 31 - 15).astype(F32) / F32(2)
    eleventh = integers(SOME, 10)
    few = np.where(eleventh % 2 == 0, F32(0.0), F32(-0.0))
    numbers["sparse"] = np.where(eleventh % 17 == 0, (eleventh - 2**23).astype(F32) / F32(2**23), few).astype(F32)
    numbers["zeros"] = np.zeros(512, F32)
    numbers["zeros of both signs"] = np.where(integers(512, 11) % 2 == 0, F32(0.0), F32(-0.0)).astype(F32)
    numbers["constant"] = np.full(512, 0.3, F32)
    numbers["constant below"] = np.full(512, -0.7, F32)
    shrinking = np.exp2(-3.0 * (np.arange(SOME) // 32 % 16)).astype(F32)
    numbers["shrinking"] = bell(SOME, 12) * shrinking
    for power in BELLS:
        # In two steps: 2^-149 and 2^-145 alone are no normal numbers.
        first = power // 2
        numbers[f"bell * 2^{power}"] = bell(SOME, 13) * F32(2.0**first) * F32(2.0 ** (power - first))
    return numbers


def main() -> None:
    ggml = ctypes.CDLL(str(Path(sys.argv[1]).resolve() / "libggml-base.so"))
    ggml.ggml_quantize_chunk.restype = ctypes.c_size_t
    pointer, count = ctypes.c_void_p, ctypes.c_int64
    ggml.ggml_quantize_chunk.argtypes = [ctypes.c_int, pointer, pointer, count, count, count, pointer]
    table = {}
    for name, numbers in cases().items():
        assert numbers.dtype == F32 and np.isfinite(numbers).all(), name
        row = {"f32": hashlib.sha256(numbers.tobytes()).hexdigest()[:16]}
        for kind, (number, block, size) in TYPES.items():
            out = ctypes.create_string_buffer(len(numbers) // block * size)
            wrote = ggml.ggml_quantize_chunk(number, numbers.ctypes.data, out, 0, len(numbers) // 256, 256, None)
            assert wrote == len(out), (name, kind)
            row[kind] = hashlib.sha256(out.raw).hexdigest()[:16]
        table[name] = row
    lines = [f"{json.dumps(name)}: {json.dumps(row)}" for name, row in table.items()]
    OUT.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
