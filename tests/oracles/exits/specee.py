"""SpecEE: a draft head names candidates, small predictors watch their logits, and the whole head confirms.

Settings: `candidates` (k), `threshold`, `offline` (layer indices that are always probed), `window` (tokens of the online
queue), `around` (offsets from a former exit's layer index). Layers that a token leaves out have no entry for it, for ever.
"""

import numpy as np

from .model import Cache, Model, softmax
from .plain import first_token
from .record import Margins, Record

DRAFT = "draft.layers.0"


class Draft:
    """An EAGLE head: one row for each pair of a token and the final state of the token before it.

    Rows count from 0 (the pair of the second token and the first state). Neither its layer's input nor its output is
    normed; the model's own head reads it.
    """

    def __init__(self, model: Model):
        self.model, self.cache, self.rows = model, Cache(model.shape, 1), 0

    def feed(self, tokens: list[int], states: np.ndarray) -> np.ndarray:
        """`states` have passed the final norm. The states that the head guesses for `tokens`."""
        tensors = self.model.tensors
        pairs = np.concatenate([self.model.embed(tokens), states], 1)
        rows = pairs @ tensors["draft.fc.weight"].T + tensors["draft.fc.bias"]
        positions = np.arange(self.rows, self.rows + len(rows))
        self.rows += len(rows)
        return self.model.layer(0, rows, positions, self.cache, DRAFT)

    def candidates(self, tokens: list[int], states: np.ndarray, count: int, margins: Margins) -> list[int]:
        """The best first."""
        logits = self.feed(tokens, states)[-1] @ self.model.head.T
        order = np.argsort(-logits)
        for place in range(count):
            margins.note("candidates", logits[order[place]] - logits[order[place + 1]])
        return order[:count].tolist()


def features(local: np.ndarray, before: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Candidates' logits, their softmax among themselves, and its change since the last probe; and that softmax."""
    share = softmax(local)
    change = share if before is None else share - before
    return np.concatenate([local, share, change]), share


def predict(model: Model, layer: int, found: np.ndarray) -> float:
    tensors, name = model.tensors, f"predictors.{layer}"
    inner = np.maximum(tensors[f"{name}.fc1.weight"] @ found + tensors[f"{name}.fc1.bias"], 0)
    score = tensors[f"{name}.fc2.weight"][0] @ inner + tensors[f"{name}.fc2.bias"][0]
    return float(1 / (1 + np.exp(-score)))


def probed_layers(model: Model, settings: dict, queue: list[int]) -> list[int]:
    """Layer indices; `queue` has the depths of the tokens before, the prompt's own not among them."""
    found = set(settings["offline"])
    if len(queue) >= settings["window"] > 0:
        found |= {depth - 1 + offset for depth in queue[-settings["window"] :] for offset in settings["around"]}
    return sorted(layer for layer in found if 0 <= layer < model.shape.layers - 1)


class Text:
    """A text on its way."""

    def __init__(self, model: Model, prompt: list[int], settings: dict, margins: Margins):
        self.model, self.prompt, self.settings, self.margins = model, prompt, settings, margins
        self.record, self.draft = Record(), Draft(model)
        rows = first_token(model, prompt, self.record, margins)
        self.record.more |= {"candidates": [], "layers": [], "refused": []}
        tokens = [*prompt[1:], self.record.tokens[0]]
        self.candidates = self.draft.candidates(tokens, model.norm(rows), settings["candidates"], margins)

    def token(self) -> None:
        model, more = self.model, self.record.more
        layers = probed_layers(model, self.settings, self.record.exits[1:])
        position = np.array([len(self.prompt) + len(self.record.tokens) - 1])
        row = model.embed(self.record.tokens[-1:])
        seen, share, refused, token = {}, None, [], None
        for layer in range(model.shape.layers):
            row = model.layer(layer, row, position, self.record.cache)
            if layer not in layers:
                continue
            state = model.norm(row[0])
            found, share = features(model.head[self.candidates] @ state, share)
            seen[layer + 1] = predict(model, layer, found)
            if self.margins.above(seen[layer + 1], self.settings["threshold"]):
                best = self.margins.best(model.head @ state)
                if best in self.candidates:
                    token = best
                    break
                refused.append(layer + 1)
        if token is None:
            token = self.margins.best(model.logits(row[0]))
        more["candidates"].append(self.candidates)
        more["layers"].append(layers)
        more["refused"].append(refused)
        self.record.wrote(token, layer + 1, seen)
        self.candidates = self.draft.candidates([token], model.norm(row), self.settings["candidates"], self.margins)


def specee(model: Model, prompt: list[int], count: int, settings: dict, margins: Margins):
    text = Text(model, prompt, settings, margins)
    while len(text.record.tokens) < count:
        yield
        text.token()
    return text.record
