"""Builds the corpus: documents of every kind, a tokenizer, and the files that training and evaluation read.

    python -m data.build --out runs/corpus --seed 1 --tokens 20000000

Every document is made here from the seed, so the same seed gives the same bytes on any machine. Which documents are
held out is decided by their words alone.
"""

import argparse
import hashlib
import json
import random
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from data import everyday, grammar, puzzles
from data.documents import Document, held_out
from data.vocabulary import END, VOCABULARY, train_tokenizer

HERE = Path(__file__).parent
LICENCE = "CC0-1.0 (ours)"
SHARES = {"grammar": 0.82, "puzzles": 0.18}  # of the tokens


def make(seed: int, kind: str, number: int) -> Document:
    """Document `number` of the endless row of a kind that `seed` begins."""
    if kind == "grammar":
        return Document(grammar.story(seed, number), kind)
    text, answers = puzzles.puzzle(seed, number)
    return Document(text, kind, answers)


def gather(seed: int, kind: str, tokens: float, tokenizer: Tokenizer) -> list[Document]:
    """As many different documents of a kind as make up `tokens`."""
    documents: dict[str, Document] = {}
    number, count = 0, 0
    while count < tokens:
        document = make(seed, kind, number)
        number += 1
        if number > 1000 and len(documents) < number / 3:
            raise SystemExit(f"the {kind} repeat themselves after {count} tokens; ask for fewer")
        if document.digest not in documents:
            documents[document.digest] = document
            document.tokens = tokenizer.encode(document.text, add_special_tokens=False).ids
            count += len(document.tokens) + 1
    return list(documents.values())


def sample_for_tokenizer(seed: int) -> list[str]:
    """Text for the tokenizer: 3 MB, mixed as the corpus is, and plain words that a user may type and the corpus lacks."""
    texts = [" " + word for word in everyday.WORDS for _ in range(3)]
    for kind, share in SHARES.items():
        number, size = 0, 0
        while size < 3_000_000 * share:
            texts.append(make(seed, kind, number).text)
            number, size = number + 1, size + len(texts[-1])
    return texts


def as_ids(documents: list[Document]) -> np.ndarray:
    return np.array([token for document in documents for token in (*document.tokens, END)], dtype="<u2")


def answers_in(valid: list[Document]) -> list[dict]:
    """Where the answers stand in `valid.txt`, in characters."""
    found, offset = [], 0
    for index, document in enumerate(valid):
        for begin, end, kind in document.answers:
            found.append({"document": index, "start": offset + begin, "end": offset + end, "kind": kind})
        offset += len(document.text) + len("<|endoftext|>\n")
    return found


def figures(train: list[Document], valid: list[Document]) -> dict:
    """`meta.json`."""
    tokens = sum(len(document.tokens) + 1 for document in valid)
    sources = {}
    for kind in SHARES:
        own = [document for document in train if document.kind == kind]
        sources[kind] = {
            "bytes": sum(len(one.text) for one in own), "tokens": sum(len(one.tokens) + 1 for one in own),
            "documents": len(own), "held_out": sum(one.kind == kind for one in valid), "licence": LICENCE,
        }
    return {
        "vocab_size": VOCABULARY, "end_of_text": END,
        "bytes_per_token_valid": sum(len(document.text) for document in valid) / max(tokens, 1), "sources": sources,
    }


def build(out: Path, seed: int, tokens: int) -> dict:
    """Writes the corpus folder; returns what `meta.json` says."""
    out.mkdir(parents=True, exist_ok=True)
    tokenizer = train_tokenizer(sample_for_tokenizer(seed))
    documents = [one for kind, share in SHARES.items() for one in gather(seed, kind, tokens * share, tokenizer)]
    valid = sorted((one for one in documents if held_out(one)), key=lambda one: one.digest)
    train = [one for one in documents if not held_out(one)]
    random.Random(f"order/{seed}").shuffle(train)
    as_ids(train).tofile(out / "train.bin")
    as_ids(valid).tofile(out / "valid.bin")
    tokenizer.save(str(out / "tokenizer.json"))
    (out / "valid.txt").write_text("".join(document.text + "<|endoftext|>\n" for document in valid), encoding="ascii")
    meta = figures(train, valid)
    write_json(out / "valid_answers.json", answers_in(valid))
    write_json(out / "meta.json", meta)
    code = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(HERE.glob("*.py"))}
    write_json(out / "sources.json", {"seed": seed, "tokens": tokens, "code": code})
    return meta


def write_json(path: Path, value) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="ascii")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tokens", type=int, default=20_000_000, help="held-out ones included")
    arguments = parser.parse_args()
    print(json.dumps(build(arguments.out, arguments.seed, arguments.tokens), indent=1))


if __name__ == "__main__":
    main()
