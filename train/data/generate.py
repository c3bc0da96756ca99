"""Lets SmolLM2-135M-Instruct write simple stories, many at once in one llama.cpp batch.

    python -m data.generate --model SmolLM2-135M-Instruct.Q4_1.gguf --out runs/stories --seed 1 --workers 2

Each worker has one thread and its own file `KIND-SEED-WORKER.jsonl`, one story a line: its number, the text, and for
duets which sentences are the model's. Prompts and chances follow from seed, worker and number; a second start goes on
after the last number. Stop it by its process id.
"""

import argparse
import ctypes
import json
import multiprocessing
import os
import random
import signal
import sys
import time
from pathlib import Path

import llama_cpp as llama
import numpy as np
import torch

from data.duet import Duet
from data.prompts import wish

TEMPERATURE = 0.7
FREQUENCY_PENALTY = 0.15  # for each time a word was used, up to MOST_PENALTIES; words of grammar and marks go free
MOST_PENALTIES = 6
REPEATED = 6  # as many tokens in a row never come twice in one story
FREE_WORDS = """the a an and to of in on at he she it they was were is are his her their him them you i we said had with
for that so but not did do as up out all very be then what who there my me your this from one into""".split()
CHOICES = 40
LEAST_SHARE = 0.05  # of the likeliest token's probability; less likely ones are never taken
ROOM = 440  # positions of one sequence: prompt and story
LONGEST = 220  # tokens of a story


def fast_copy(source: Path, folder: Path) -> Path:
    """The same weights as bf16, which the CPU multiplies nearly three times as fast as Q4_1."""
    target = folder / (source.stem + ".bf16.gguf")
    if not target.exists():
        settings = llama.llama_model_quantize_default_params()
        settings.ftype, settings.allow_requantize, settings.pure = llama.LLAMA_FTYPE_MOSTLY_BF16, True, True
        partial = target.with_suffix(".partial")
        if llama.llama_model_quantize(str(source).encode(), str(partial).encode(), ctypes.byref(settings)) != 0:
            raise SystemExit(f"cannot convert {source}")
        partial.rename(target)
    return target


class Model:
    """llama.cpp with room for `sequences` stories at once, on one thread."""

    def __init__(self, path: Path, sequences: int):
        self.model = llama.llama_model_load_from_file(str(path).encode(), llama.llama_model_default_params())
        self.vocabulary = llama.llama_model_get_vocab(self.model)
        self.size = llama.llama_vocab_n_tokens(self.vocabulary)
        settings = llama.llama_context_default_params()
        settings.n_ctx, settings.n_seq_max, settings.kv_unified = sequences * ROOM, sequences, False
        settings.n_batch = settings.n_ubatch = self.batch_room = max(512, sequences)
        settings.n_threads = settings.n_threads_batch = 1
        settings.flash_attn_type = 1
        self.context = llama.llama_init_from_model(self.model, settings)
        self.memory = llama.llama_get_memory(self.context)
        self.batch = llama.llama_batch_init(self.batch_room, 0, 1)
        self.pieces = [self.piece(token) for token in range(self.size)]
        self.ends = {token for token in range(self.size) if llama.llama_vocab_is_eog(self.vocabulary, token)}
        self.free = {token for token, piece in enumerate(self.pieces) if is_free(piece)}
        self.allowed = torch.tensor([t for t in range(self.size) if t in self.ends or plain(self.pieces[t])])

    def tokens(self, text: str) -> list[int]:
        data, room = text.encode(), (llama.llama_token * 512)()
        count = llama.llama_tokenize(self.vocabulary, data, len(data), room, 512, False, True)
        return list(room[:count])

    def piece(self, token: int) -> bytes:
        room = ctypes.create_string_buffer(64)
        length = llama.llama_token_to_piece(self.vocabulary, token, room, 64, 0, False)
        return room.raw[: max(length, 0)]

    def forget(self, sequence: int, first: int = -1) -> None:
        """Everything that the sequence holds, or all from a position on."""
        llama.llama_memory_seq_rm(self.memory, sequence, first, -1)

    def step(self, rows: list[tuple[int, int, list[int]]]) -> torch.Tensor:
        """Runs (sequence, first position, tokens) rows; logits after each row's last token, allowed tokens only."""
        batch, count = self.batch, 0
        for sequence, position, tokens in rows:
            for offset, token in enumerate(tokens):
                batch.token[count], batch.pos[count], batch.n_seq_id[count] = token, position + offset, 1
                batch.seq_id[count][0], batch.logits[count] = sequence, offset == len(tokens) - 1
                count += 1
        batch.n_tokens = count
        if llama.llama_decode(self.context, batch) != 0:
            raise SystemExit("llama.cpp could not run the batch")
        logits = np.ctypeslib.as_array(llama.llama_get_logits(self.context), shape=(len(rows), self.size))
        return torch.from_numpy(logits)[:, self.allowed]


def plain(piece: bytes) -> bool:
    """Letters and the marks of simple prose; neither digits nor markup."""
    return bool(piece) and all(chr(byte).isascii() and (chr(byte).isalpha() or chr(byte) in " .,!?'\"\n-") for byte in piece)


def is_free(piece: bytes) -> bool:
    """Words of grammar and everything that is no word: these may come as often as they like."""
    word = piece.decode("utf-8", "replace").strip().lower()
    return not word.isalpha() or word in FREE_WORDS


class Story:
    """One story by the model alone as it is written. `waiting` is what the model reads next, from `position` on."""

    def __init__(self, model: Model, seed: int, worker: int, number: int):
        self.number = number
        self.chance = random.Random(f"{seed}/{worker}/{number}")
        prompt, self.opening = wish(self.chance)
        self.waiting = model.tokens(prompt + self.opening)
        self.position, self.written, self.counts, self.seen = 0, [], {}, set()

    def read(self) -> None:
        """The model has read what was waiting."""
        self.position += len(self.waiting)

    def go_on(self, model: Model, sequence: int, values: list[float], tokens: list[int]) -> dict | None:
        """Takes one step after the model's forecast; gives the story once it is whole."""
        token = self.choose(values, tokens, model.free)
        if token not in model.ends and len(self.written) < LONGEST and self.position < ROOM - 1:
            self.add(token)
            return None
        text = self.opening + b"".join(model.pieces[one] for one in self.written).decode("ascii")
        return {"number": self.number, "ended": token in model.ends, "text": text.strip()}

    def choose(self, values: list[float], tokens: list[int], free: set[int]) -> int:
        """Draws one of the likeliest tokens; what was written often counts less, a repeated passage hardly."""
        last = tuple(self.written[1 - REPEATED :])
        scores = []
        for value, token in zip(values, tokens):
            used = 0 if token in free else min(self.counts.get(token, 0), MOST_PENALTIES)
            scores.append(value - FREQUENCY_PENALTY * used - 10.0 * ((*last, token) in self.seen))
        best = max(scores)
        weights = [np.exp((score - best) / TEMPERATURE) for score in scores]
        return self.chance.choices(tokens, [weight if weight >= LEAST_SHARE else 0.0 for weight in weights])[0]

    def add(self, token: int) -> None:
        self.written.append(token)
        self.counts[token] = self.counts.get(token, 0) + 1
        self.seen.add(tuple(self.written[-REPEATED:]))
        self.waiting = [token]


KINDS = {"stories": Story, "duets": Duet}


def write(path: Path, kind: str, model_path: Path, seed: int, worker: int, sequences: int) -> None:
    """Writes for ever."""
    torch.set_num_threads(1)
    number = last_number(path) + 1 if path.exists() else 0
    model = Model(model_path, sequences)
    running: list = [None] * sequences
    turn = 0
    with path.open("a", encoding="ascii") as file:
        while True:
            rows, used, turn = [], 0, turn + 1
            for offset in range(sequences):  # who waited longest comes first, when not all fit into the batch
                sequence = (turn * 7 + offset) % sequences
                if running[sequence] is None:
                    running[sequence] = KINDS[kind](model, seed, worker, number)
                    number += 1
                    model.forget(sequence)
                story = running[sequence]
                if used + len(story.waiting) <= model.batch_room:
                    used += len(story.waiting)
                    rows.append((sequence, story))
            advance(model, running, rows, file)


def advance(model: Model, running: list, rows: list[tuple], file) -> None:
    """One step for each story; those that end are written to the file."""
    best = model.step([(sequence, story.position, story.waiting) for sequence, story in rows]).topk(CHOICES, dim=1)
    tokens = model.allowed[best.indices].tolist()
    for (sequence, story), values, choices in zip(rows, best.values.tolist(), tokens):
        story.read()
        line = story.go_on(model, sequence, values, choices)
        if line:
            file.write(json.dumps(line) + "\n")
            file.flush()
            running[sequence] = None


def last_number(path: Path) -> int:
    """Of the stories in the file; a torn last line is cut off first."""
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        path.write_bytes(whole)
    return max((json.loads(line)["number"] for line in whole.splitlines()), default=-1)


def die_with_parent() -> None:
    """A worker whose parent is gone ends as well (Linux)."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def worker_main(*given) -> None:
    die_with_parent()
    silence()
    write(*given)


def silence() -> None:
    """llama.cpp tells much; only what goes wrong is of interest."""
    callback = llama.llama_log_callback(lambda level, text, data: sys.stderr.write(text.decode()) if level == 4 else None)
    llama.llama_log_set(callback, None)
    silence.kept = callback


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="SmolLM2-135M-Instruct.Q4_1.gguf")
    parser.add_argument("--out", type=Path, required=True, help="folder for the stories")
    parser.add_argument("--kind", choices=KINDS, default="duets", help="stories by the model alone, or with our plots")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2, help="processes, one thread each")
    parser.add_argument("--sequences", type=int, default=128, help="stories at once in each")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    silence()
    llama.llama_backend_init()
    model_path = fast_copy(arguments.model, arguments.out)
    paths = [arguments.out / f"{arguments.kind}-{arguments.seed}-{worker}.jsonl" for worker in range(arguments.workers)]
    processes = []
    for worker, path in enumerate(paths):
        given = (path, arguments.kind, model_path, arguments.seed, worker, arguments.sequences)
        processes.append(multiprocessing.get_context("spawn").Process(target=worker_main, args=given, daemon=True))
        processes[-1].start()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    watch(paths, processes)


def watch(paths: list[Path], processes: list) -> None:
    """Prints how fast the files grow, until a worker ends."""
    def size() -> int:
        return sum(path.stat().st_size for path in paths if path.exists())

    begin, start = size(), time.time()
    while all(process.is_alive() for process in processes):
        time.sleep(60)
        rate = (size() - begin) / 1e6 / ((time.time() - start) / 3600)
        print(f"{size()} bytes, {rate:.2f} MB/hour, load {os.getloadavg()[0]:.1f}", flush=True)
    raise SystemExit("a worker ended")


if __name__ == "__main__":
    main()
