"""A small corpus and small configs that the tests share."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from isobath_train.config import read_config

torch.set_num_threads(1)
CONFIGS = Path(__file__).parents[1] / "configs"
NAMES = ("Mia", "Tom", "the cat", "a small bird", "the old man", "her brother")
VERBS = ("saw", "found", "lost", "painted", "carried", "liked")
THINGS = ("a red ball", "the blue boat", "an apple", "the tall tree", "a song", "three stones")


def story(chance: random.Random) -> str:
    """A few sentences with something to remember."""
    name, thing = chance.choice(NAMES), chance.choice(THINGS)
    middle = f"{chance.choice(NAMES)} {chance.choice(VERBS)} {chance.choice(THINGS)}"
    return f"One day {name} {chance.choice(VERBS)} {thing}. Then {middle}. In the end {name} went home with {thing}."


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """A folder as the data tools write it, of synthetic sentences."""
    folder, chance = tmp_path_factory.mktemp("corpus"), random.Random(1)
    documents = [story(chance) for _ in range(3000)]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(documents, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    for name, part in (("train", documents[:2800]), ("valid", documents[2800:])):
        tokens = [token for one in part for token in [*tokenizer.encode(one).ids, 0]]
        np.array(tokens, dtype="<u2").tofile(folder / f"{name}.bin")
    valid = sum(len(one.encode()) for one in documents[2800:])
    meta = {"vocab_size": tokenizer.get_vocab_size(), "bytes_per_token_valid": valid / len(tokens), "documents": 3000}
    (folder / "meta.json").write_text(json.dumps(meta))
    return folder


@pytest.fixture
def tiny(corpus):
    """The routed model in small, on the synthetic corpus."""
    config = read_config(CONFIGS / "tiny.toml")
    config.model.vocab_size = json.loads((corpus / "meta.json").read_text())["vocab_size"]
    config.train.corpus, config.train.device = str(corpus), "cpu"
    return config
