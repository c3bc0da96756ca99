"""CALM: a test after some layers; what a token leaves out is filled with keys and values of its last state.

Settings: `measure` (one of `MEASURES`), `threshold` (lambda), `probes` (depths), `decay` (tau), `length` (N of the decay);
`together` where the whole batch leaves at its slowest row.
"""

import numpy as np

from .free import top_two_gap
from .model import Model, softmax
from .plain import first_token
from .record import Margins, Record


def gap(model: Model, row: np.ndarray, before: np.ndarray) -> float:
    return top_two_gap(model.logits(row))


def largest(model: Model, row: np.ndarray, before: np.ndarray) -> float:
    return float(softmax(model.logits(row)).max())


def cosine(model: Model, row: np.ndarray, before: np.ndarray) -> float:
    return float(row @ before / np.sqrt((row @ row) * (before @ before)))


def meta(model: Model, row: np.ndarray, before: np.ndarray) -> float:
    score = row @ model.tensors["calm.meta.weight"][0] + model.tensors["calm.meta.bias"][0]
    return float(1 / (1 + np.exp(-score)))


MEASURES = {"softmax_diff": gap, "softmax_max": largest, "state": cosine, "meta": meta}


def lambda_at(settings: dict, decided: int) -> float:
    """The threshold sinks with the number of tokens that tests have decided before."""
    value = settings["threshold"]
    return 0.9 * value + 0.1 * value * np.exp(-settings["decay"] * decided / settings["length"])


class Text:
    """A text on its way, and its newest token's row."""

    def __init__(self, model: Model, prompt: list[int], settings: dict, margins: Margins):
        self.model, self.prompt, self.settings, self.margins = model, prompt, settings, margins
        self.record = Record()
        first_token(model, prompt, self.record, margins)

    def start(self) -> None:
        self.position = len(self.prompt) + len(self.record.tokens) - 1
        self.row = self.model.embed(self.record.tokens[-1:])
        self.probed, self.seen, self.depth = self.row[0], {}, 0

    def layer(self) -> None:
        self.row = self.model.run(self.row, [self.position], self.record.cache, self.depth, self.depth + 1)
        self.depth += 1

    def probe(self) -> float:
        """What is measured here; a cosine is with the state of the probe before, at first with the embedding."""
        found = MEASURES[self.settings["measure"]](self.model, self.row[0], self.probed)
        self.probed, self.seen[self.depth] = self.row[0], found
        return found

    def leave(self) -> None:
        for layer in range(self.depth, self.model.shape.layers):
            self.model.project(layer, self.row, np.array([self.position]), self.record.cache)
        self.record.wrote(self.margins.best(self.model.logits(self.row[0])), self.depth, self.seen)


def calm(model: Model, prompt: list[int], count: int, settings: dict, margins: Margins):
    text = Text(model, prompt, settings, margins)
    for decided in range(count - 1):
        yield
        border = lambda_at(settings, decided)
        text.start()
        while text.depth < model.shape.layers:
            text.layer()
            if text.depth in settings["probes"] and margins.at_least(text.probe(), border):
                break
        text.leave()
    return text.record


def together(model: Model, prompts: list[list[int]], counts: list[int], settings: dict, margins: Margins):
    """All texts step as one, and leave where the least of their confidences is enough; who has all tokens is out."""
    texts = [Text(model, prompt, settings, margins) for prompt in prompts]
    for decided in range(max(counts) - 1):
        batch = [text for text, count in zip(texts, counts) if len(text.record.tokens) < count]
        border = lambda_at(settings, decided)
        for text in batch:
            text.start()
        for depth in range(1, model.shape.layers + 1):
            for text in batch:
                text.layer()
            if depth in settings["probes"] and margins.at_least(min([text.probe() for text in batch]), border):
                break
        for text in batch:
            text.leave()
    return [text.record for text in texts]


def learn_then_test(losses: np.ndarray, delta: float, epsilon: float) -> tuple[int | None, list[float]]:
    """Which of the candidates, cautious ones first, is taken: the last before the first that fails, if there is one.

    `losses` are [prompts, candidates]. Also the p-values up to and with the first that fails.
    """
    chosen, values = None, []
    for candidate, loss in enumerate(losses.mean(0)):
        values.append(float(np.exp(-2 * len(losses) * max(0.0, delta - loss) ** 2)))
        if values[-1] > epsilon:
            break
        chosen = candidate
    return chosen, values
