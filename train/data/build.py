"""Builds the corpus: documents of every kind, a tokenizer, and the files that training and evaluation read.

    python -m data.build --stories runs/stories --out runs/corpus --seed 1 --tokens 6000000

The same seed and the same stories give the same bytes. With `--tokenizer FILE` an earlier corpus's tokenizer is kept,
so that a run can go on with the new corpus. Which documents are held out is decided by their words alone: one that an
earlier corpus held out is never trained on later.
"""

import argparse
import hashlib
import json
import random
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from data import duet, everyday, filters, grammar, puzzles
from data.documents import Document, held_out, without_copies
from data.vocabulary import END, VOCABULARY, train_tokenizer

HERE = Path(__file__).parent
LICENCES = {
    "stories": "Apache-2.0 (written by SmolLM2-135M-Instruct)", "duets": "CC0-1.0 and Apache-2.0 (plots ours, sentences "
    "between them by SmolLM2-135M-Instruct)", "grammar": "CC0-1.0 (ours)", "puzzles": "CC0-1.0 (ours)",
}
SHARES = {"duets": 0.40, "stories": 0.12, "grammar": 0.34, "puzzles": 0.14}
MOST_COPIES = 4  # of a story that a model wrote; our own kinds are endless and never repeat


def read_lines(folder: Path, pattern: str) -> tuple[list[dict], dict[str, str]]:
    """All whole lines of the files, in order, and each file's sha256 as far as it was read."""
    lines, sums = [], {}
    for path in sorted(folder.glob(pattern)):
        data = path.read_bytes()
        data = data[: data.rfind(b"\n") + 1]
        sums[path.name] = hashlib.sha256(data).hexdigest()
        lines += [json.loads(line) for line in data.splitlines()]
    return lines, sums


def written_by_model(folder: Path) -> tuple[dict[str, list[Document]], dict[str, str]]:
    """What the language model wrote, cleaned: whole stories, and duets with our plots."""
    lines, sums = read_lines(folder, "stories-*.jsonl")
    texts = [text for line in lines if (text := filters.clean(line["text"]))]
    stories = [Document(text, "stories") for text in filters.simple(texts)]
    lines, more = read_lines(folder, "duets-*.jsonl")
    duets = [Document(line["text"], "duets") for line in lines if duet.fit(line)]
    return {"duets": without_copies(duets), "stories": without_copies(stories)}, sums | more


def our_own(seed: int, kind: str, tokens: float, tokenizer: Tokenizer) -> list[Document]:
    """As many documents of a kind of our own as make up `tokens`."""
    documents, number, count = [], 0, 0
    known: set[str] = set()
    while count < tokens:
        if kind == "grammar":
            document = Document(grammar.story(seed, number), kind)
        else:
            text, answers = puzzles.puzzle(seed, number)
            document = Document(text, kind, answers)
        number += 1
        if number > 1000 and len(known) < number / 3:
            raise SystemExit(f"the {kind} repeat themselves; ask for fewer tokens")
        if document.digest not in known:
            known.add(document.digest)
            documents.append(document)
            document.tokens = tokenizer.encode(document.text).ids
            count += len(document.tokens) + 1
    return documents


def sample_for_tokenizer(seed: int, model_texts: dict[str, list[Document]]) -> list[str]:
    """Text for the tokenizer: 3 MB at most, mixed as the corpus is, and the plain words that it may lack."""
    texts = [" " + word for word in everyday.WORDS for _ in range(3)]
    for kind, share in SHARES.items():
        number, size = 0, 0
        while size < 3_000_000 * share and (kind not in model_texts or number < len(model_texts[kind])):
            if kind in model_texts:
                text = model_texts[kind][number].text
            else:
                text = grammar.story(seed, number) if kind == "grammar" else puzzles.puzzle(seed, number)[0]
            texts.append(text)
            number, size = number + 1, size + len(text)
    return texts


def gather(seed: int, tokens: int, model_texts: dict[str, list[Document]], tokenizer: Tokenizer) -> list[Document]:
    """Every document once, with how often training sees it (`copies`)."""
    gathered, missing = [], 0.0
    for kind, documents in model_texts.items():
        for document in documents:
            document.tokens = tokenizer.encode(document.text).ids
        count = sum(len(document.tokens) + 1 for document in documents)
        copies = min(MOST_COPIES, max(1, round(tokens * SHARES[kind] / max(count, 1))))
        for document in documents:
            document.copies = copies
        missing += max(0.0, tokens * SHARES[kind] - copies * count)
        gathered += documents
    for kind in ("grammar", "puzzles"):
        gathered += our_own(seed, kind, tokens * SHARES[kind] + missing * (kind == "grammar"), tokenizer)
    return gathered


def split(seed: int, documents: list[Document]) -> tuple[list[Document], list[Document]]:
    """Training documents in their copies, mixed; held-out ones once. Near copies of held-out stories are dropped."""
    valid = [document for document in documents if held_out(document)]
    kept = [document for document in documents if not held_out(document)]
    runs = {kind: set() for kind in SHARES}
    for document in valid:
        runs[document.kind] |= filters.shingles(document.text)
    train = []
    for document in kept:
        if document.kind in ("stories", "duets"):
            own = filters.shingles(document.text)
            if len(own & runs[document.kind]) > 0.5 * len(own):
                continue
        train += [document] * document.copies
    random.Random(f"order/{seed}").shuffle(train)
    valid.sort(key=lambda document: document.digest)
    return train, valid


def as_ids(documents: list[Document]) -> np.ndarray:
    joined = [token for document in documents for token in (*document.tokens, END)]
    return np.array(joined, dtype="<u2")


def answers_in(valid: list[Document]) -> list[dict]:
    """Where the answers stand in `valid.txt`, in characters."""
    found, offset = [], 0
    for index, document in enumerate(valid):
        for begin, end, kind in document.answers:
            found.append({"document": index, "start": offset + begin, "end": offset + end, "kind": kind})
        offset += len(document.text) + len("<|endoftext|>\n")
    return found


def code_sums() -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(HERE.glob("*.py"))}


def figures(train: list[Document], valid: list[Document]) -> dict:
    """`meta.json`."""
    tokens = sum(len(document.tokens) + 1 for document in valid)
    sources = {}
    for kind in SHARES:
        own = [document for document in train if document.kind == kind]
        sources[kind] = {
            "bytes": sum(len(one.text) for one in own), "tokens": sum(len(one.tokens) + 1 for one in own),
            "documents": len(own), "different": len({one.digest for one in own}), "licence": LICENCES[kind],
        }
    return {
        "vocab_size": VOCABULARY, "end_of_text": END,
        "bytes_per_token_valid": sum(len(document.text) for document in valid) / max(tokens, 1),
        "documents": {"train": len(train), "valid": len(valid)},
        "valid": {kind: sum(document.kind == kind for document in valid) for kind in SHARES}, "sources": sources,
    }


def build(stories: Path, out: Path, seed: int, tokens: int, kept_tokenizer: Path | None = None) -> dict:
    """Writes the corpus folder; returns what `meta.json` says."""
    out.mkdir(parents=True, exist_ok=True)
    model_texts, sums = written_by_model(stories)
    if kept_tokenizer:
        tokenizer = Tokenizer.from_file(str(kept_tokenizer))
    else:
        tokenizer = train_tokenizer(sample_for_tokenizer(seed, model_texts))
    train, valid = split(seed, gather(seed, tokens, model_texts, tokenizer))
    as_ids(train).tofile(out / "train.bin")
    as_ids(valid).tofile(out / "valid.bin")
    tokenizer.save(str(out / "tokenizer.json"))
    (out / "valid.txt").write_text("".join(document.text + "<|endoftext|>\n" for document in valid), encoding="ascii")
    meta = figures(train, valid)
    write_json(out / "valid_answers.json", answers_in(valid))
    write_json(out / "meta.json", meta)
    write_json(out / "sources.json", {"seed": seed, "tokens": tokens, "stories": sums, "code": code_sums()})
    return meta


def write_json(path: Path, value) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="ascii")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stories", type=Path, required=True, help="folder that data.generate wrote")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tokens", type=int, default=6_000_000, help="size of train.bin")
    parser.add_argument("--tokenizer", type=Path, help="keep this tokenizer.json")
    arguments = parser.parse_args()
    meta = build(arguments.stories, arguments.out, arguments.seed, arguments.tokens, arguments.tokenizer)
    print(json.dumps(meta, indent=1))


if __name__ == "__main__":
    main()
