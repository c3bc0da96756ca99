"""The corpus and the order in which training sees it.

A corpus folder has `train.bin` and `valid.bin` (token ids as u16, little-endian, documents joined with the
end-of-text token), `tokenizer.json`, `meta.json` and `valid.txt`.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor


def read_tokens(path: Path) -> np.ndarray:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there; build the corpus first, see train/README.md")
    return np.memmap(path, dtype="<u2", mode="r")


def bytes_per_token(corpus: Path) -> float | None:
    """Of the held-out text, for bits per byte; None where the corpus does not say."""
    meta = corpus / "meta.json"
    return json.loads(meta.read_text()).get("bytes_per_token_valid") if meta.is_file() else None


class Windows:
    """Windows of S + 1 tokens in a seeded order: each epoch starts at an offset of its own and shuffles them. The
    position is two numbers, so a resumed run goes on with the very next window."""

    def __init__(self, tokens: np.ndarray, sequence: int, seed: int) -> None:
        if len(tokens) < 2 * sequence + 2:
            raise ValueError(f"the corpus has {len(tokens)} tokens; a window of {sequence} needs {2 * sequence + 2}")
        self.tokens, self.sequence, self.seed = tokens, sequence, seed
        self.epoch = self.index = 0
        self.starts = self.starts_of(0)

    def starts_of(self, epoch: int) -> np.ndarray:
        random = np.random.default_rng([self.seed, epoch])
        first = int(random.integers(self.sequence))
        return random.permutation(np.arange(first, len(self.tokens) - self.sequence, self.sequence))

    def next_batch(self, count: int) -> Tensor:
        """[count, S + 1]: inputs are all but the last, targets all but the first."""
        rows = []
        for _ in range(count):
            if self.index == len(self.starts):
                self.seek(self.epoch + 1, 0)
            start = self.starts[self.index]
            rows.append(self.tokens[start : start + self.sequence + 1].astype(np.int64))
            self.index += 1
        return torch.from_numpy(np.stack(rows))

    def seek(self, epoch: int, index: int) -> None:
        self.epoch, self.index = epoch, index
        self.starts = self.starts_of(epoch)

    def state(self) -> dict[str, int]:
        return {"epoch": self.epoch, "index": self.index, "tokens": len(self.tokens), "seed": self.seed}

    def restore(self, state: dict[str, int]) -> None:
        """Goes on where `state` was taken. Another corpus, or a longer one, begins its next epoch."""
        self.seed = state["seed"]
        if state["tokens"] == len(self.tokens):
            self.seek(state["epoch"], state["index"])
        else:
            print(f"the corpus has {len(self.tokens)} tokens, the checkpoint's had {state['tokens']}: new epoch")
            self.seek(state["epoch"] + 1, 0)


def held_out(tokens: np.ndarray, sequence: int, count: int) -> Tensor:
    """[count, S + 1] windows at even distances: always the same, fewer where the text is short."""
    room = len(tokens) - sequence - 1
    if room < 0:
        raise ValueError(f"the held-out text has {len(tokens)} tokens; a window needs {sequence + 1}")
    count = max(1, min(count, room // sequence + 1))
    starts = np.linspace(0, room, count).astype(np.int64)
    return torch.from_numpy(np.stack([tokens[one : one + sequence + 1].astype(np.int64) for one in starts]))
