"""Reads and writes safetensors, and JSON whose innermost lists stand on one line."""

import json
import struct
from pathlib import Path

import numpy as np

KINDS = {"F32": np.dtype("<f4"), "I32": np.dtype("<i4"), "I64": np.dtype("<i8")}


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    found = {}
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        kind = np.dtype("<u2") if entry["dtype"] == "BF16" else KINDS[entry["dtype"]]
        values = np.frombuffer(data[8 + length + start : 8 + length + end], kind).reshape(entry["shape"])
        if entry["dtype"] == "BF16":
            values = (values.astype("<u4") << 16).view("<f4")
        found[name] = values
    return found


def write_tensors(path: Path, tensors: dict[str, np.ndarray]) -> None:
    """Floats become F32, whole numbers I32; names in order."""
    header, parts, offset = {"__metadata__": {"format": "pt"}}, [], 0
    for name, values in sorted(tensors.items()):
        name_of_kind = "F32" if values.dtype.kind == "f" else "I32"
        bytes_of = np.ascontiguousarray(values.astype(KINDS[name_of_kind])).tobytes()
        header[name] = {
            "dtype": name_of_kind,
            "shape": list(values.shape),
            "data_offsets": [offset, offset + len(bytes_of)],
        }
        offset += len(bytes_of)
        parts.append(bytes_of)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(parts))


def simple(value) -> bool:
    return not isinstance(value, dict) and not (isinstance(value, list) and any(isinstance(one, dict) for one in value))


def text_of(value, indent: str = "") -> str:
    if simple(value):
        return json.dumps(value)
    inner = indent + " "
    if isinstance(value, dict):
        lines = [f"{inner}{json.dumps(key)}: {text_of(one, inner)}" for key, one in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    return "[\n" + ",\n".join(inner + text_of(one, inner) for one in value) + f"\n{indent}]"


def write_json(path: Path, value) -> None:
    path.write_text(text_of(value) + "\n")
