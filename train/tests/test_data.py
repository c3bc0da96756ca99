"""The corpus: the same bytes from the same seed, right answers, sentences without seams."""

import json
import re

import numpy as np
import pytest
from tokenizers import Tokenizer

from data import grammar, puzzles
from data.build import build
from data.documents import Document, held_out

FILES = ["train.bin", "valid.bin", "valid.txt", "tokenizer.json", "meta.json", "valid_answers.json"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    build(folder, seed=3, tokens=250_000)
    return folder


def test_the_same_seed_gives_the_same_bytes(folder, tmp_path):
    build(tmp_path, seed=3, tokens=250_000)
    for name in FILES:
        assert (folder / name).read_bytes() == (tmp_path / name).read_bytes(), name


def test_tokens_give_the_text_back_and_no_held_out_document_is_trained_on(folder):
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    texts = {}
    for name in ("train", "valid"):
        ids = np.fromfile(folder / f"{name}.bin", dtype="<u2")
        assert ids[-1] == 0 and ids.max() < 4096
        ends = np.flatnonzero(ids == 0)
        starts = [0, *(ends[:-1] + 1)]
        texts[name] = [tokenizer.decode(ids[a:b].tolist()) for a, b in zip(starts, ends)]
    assert "".join(text + "<|endoftext|>\n" for text in texts["valid"]) == (folder / "valid.txt").read_text()
    digests = {name: {Document(text, "").digest for text in found} for name, found in texts.items()}
    assert not digests["train"] & digests["valid"]
    assert all(held_out(Document(text, "")) for text in texts["valid"])
    assert len(digests["train"]) == len(texts["train"]), "a document is trained on once"


def test_places_of_answers_are_those_of_the_text(folder):
    text = (folder / "valid.txt").read_text()
    answers = json.loads((folder / "valid_answers.json").read_text())
    assert len(answers) > 50
    for answer in answers:
        piece = text[answer["start"] : answer["end"]]
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 -]*|-\d+", piece), piece
        assert text.count("<|endoftext|>", 0, answer["start"]) == answer["document"]


def test_sums_and_stories_of_numbers_are_right():
    checked = 0
    for number in range(1500):
        text, answers = puzzles.puzzle(7, number)
        for left, sign, right, result in re.findall(r"(\d+) ([+-]) (\d+) = (-?\d+)", text):
            assert int(left) + (int(right) if sign == "+" else -int(right)) == int(result)
            checked += 1
        for right, left, result in re.findall(r"Which is more, (\d+) or (\d+)\? (\d+)", text):
            assert max(int(left), int(right)) == int(result)
            checked += 1
        for begin, end, _ in answers:
            assert 0 <= begin < end <= len(text)
    assert checked > 300


def test_who_has_it_now_follows_the_thing():
    checked = 0
    for number in range(1500):
        for line in puzzles.puzzle(7, number)[0].split("\n"):
            if "Now who has" not in line:
                continue
            owner = re.match(r"(\w+) has", line)[1]
            for giver, taker in re.findall(r"(\w+) gives the [\w ]+? to (\w+)\.", line):
                assert giver == owner, line
                owner = taker
            assert line.endswith(f"? {owner}."), line
            checked += 1
    assert checked > 100


def test_stories_are_sentences_without_seams():
    texts = [grammar.story(11, number) for number in range(1500)]
    assert len(set(texts)) == len(texts)
    for text in texts:
        assert not re.search(r"[\[\]{}|]|  |None| [.,!?]|\.\.|\b([Aa]) [aeio]\w", text), text
        assert re.match(r"[A-Z\"]", text) and re.search(r"[.!?]\"?$", text), text
        assert text.count('"') % 2 == 0, text
        assert text.isascii()
    words = set(re.findall(r"[a-z]+", " ".join(texts).lower()))
    assert len(words) > 1200
