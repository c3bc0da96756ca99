"""FREE: one shallow exit; rows that left there wait, and the next row that goes deeper takes them along.

Settings: `shallow` (depth of the exit), `threshold`; and, where wanted, `bound` (so many rows may wait; the next is not
tested), `rollback` (cross-entropy beyond which a waiting row's token is replaced), `adaptive` ("pending" or "all": which
deep passes are logged).
"""

import math

import numpy as np

from .model import Model, log_sum, softmax
from .plain import first_token
from .record import Margins, Record

GRID = np.linspace(0.3, 0.9, 10)
ZETA, FLOOR, FITS = 0.4, 1e-4, 300


def top_two_gap(logits: np.ndarray) -> float:
    second, first = np.partition(softmax(logits), -2)[-2:]
    return float(first - second)


def log_beta(x: np.ndarray, alpha: float, beta: float) -> np.ndarray:
    scale = math.lgamma(alpha + beta) - math.lgamma(alpha) - math.lgamma(beta)
    return scale + (alpha - 1) * np.log(x) + (beta - 1) * np.log1p(-x)


def fitted(history: list[tuple[float, bool]]) -> list[tuple[float, float]] | None:
    """Alpha and beta of wrong and of right guesses, by their moments; nothing where they cannot be told."""
    right = np.array([one[1] for one in history])
    if right.all() or not right.any():
        return None
    values = np.clip([one[0] for one in history], FLOOR, 1 - FLOOR)
    found = []
    for members in (~right, right):
        weights = np.where(members, 1.0, FLOOR) / (1 + FLOOR)
        mean = (weights * values).sum() / weights.sum()
        variance = (weights * (values - mean) ** 2).sum() / weights.sum()
        if variance < 1e-12:
            return None
        alpha = mean * (mean * (1 - mean) / variance - 1)
        beta = alpha * (1 - mean) / mean
        if alpha <= 0 or beta <= 0:
            return None
        found.append((alpha, beta))
    return found


def threshold_of(fit: list[tuple[float, float]], margins: Margins) -> tuple[float, np.ndarray]:
    """The threshold of the grid, and the share of the more confident class at each of its points."""
    means = [alpha / (alpha + beta) for alpha, beta in fit]
    margins.note("means", abs(means[0] - means[1]))
    own = int(means[1] > means[0])
    share = np.exp(-np.logaddexp(0, log_beta(GRID, *fit[1 - own]) - log_beta(GRID, *fit[own])))
    for point in share:
        margins.note("share", abs(point - ZETA))
    passing = int((share > ZETA).sum())
    return float(GRID[min(max(10 - passing, 0), 9)]), share


class Threshold:
    """The threshold of one text after the other. `fits` tells how each text's came about."""

    def __init__(self, settings: dict, margins: Margins):
        self.value, self.adaptive, self.margins = settings["threshold"], settings.get("adaptive"), margins
        self.history, self.fits, self.tried = [], [], 0

    def next_text(self) -> None:
        story = {"logged": len(self.history), "fit": None, "share": None}
        if self.adaptive and self.history and self.tried < FITS:
            self.tried += 1
            fit = fitted(self.history)
            if fit is not None:
                self.value, share = threshold_of(fit, self.margins)
                story |= {"fit": [list(map(float, pair)) for pair in fit], "share": share.tolist()}
        self.fits.append({**story, "threshold": self.value})

    def log(self, rows: list[tuple[float, int]], deep: np.ndarray, waited: bool) -> None:
        if self.adaptive and (waited or self.adaptive == "all"):
            for (confidence, guess), logits in zip(rows, deep):
                self.history.append((confidence, guess == self.margins.best(logits)))


class Text:
    """A text on its way. A waiting row is its place among the tokens, and its state at the exit."""

    def __init__(self, model: Model, prompt: list[int], settings: dict, margins: Margins, threshold: Threshold):
        self.model, self.prompt, self.settings, self.margins = model, prompt, settings, margins
        self.threshold, self.record = threshold, Record()
        self.waiting: list[tuple[int, np.ndarray]] = []
        self.logged: list[tuple[float, int]] = []
        self.record.more |= {"flushes": [], "replaced": []}
        first_token(model, prompt, self.record, margins)

    def deep(self, rows: list[tuple[int, np.ndarray]]) -> np.ndarray:
        """Brings rows through the deeper layers, all at once; their logits."""
        positions = [len(self.prompt) + place - 1 for place, _ in rows]
        states = np.stack([state for _, state in rows])
        states = self.model.run(states, positions, self.record.cache, self.settings["shallow"])
        self.record.more["flushes"].append([rows[-1][0], len(rows)])
        return self.model.logits(states)

    def rolled_back(self, deep: np.ndarray) -> bool:
        """Replaces the first waiting row's token that the deeper layers find too unlikely, and drops what follows."""
        limit = self.settings.get("rollback")
        if limit is None:
            return False
        for (place, _), logits in zip(self.waiting, deep):
            old = self.record.tokens[place]
            loss = log_sum(logits) - logits[old]
            self.margins.note("loss", abs(loss - limit))
            if loss > limit:
                new, seen = self.margins.best(logits), self.record.confidence[place]
                self.record.cut(place)
                self.record.wrote(new, self.model.shape.layers, seen)
                self.record.cache.cut(len(self.prompt) + place)
                self.record.more["replaced"].append([place, old, new])
                return True
        return False

    def step(self) -> None:
        place, shallow = len(self.record.tokens), self.settings["shallow"]
        position = len(self.prompt) + place - 1
        row = self.model.run(self.model.embed(self.record.tokens[-1:]), [position], self.record.cache, 0, shallow)[0]
        seen = {}
        if len(self.waiting) != self.settings.get("bound"):
            logits = self.model.logits(row)
            seen[shallow] = top_two_gap(logits)
            leaves = self.margins.above(seen[shallow], self.threshold.value)
            if leaves or self.threshold.adaptive:
                guess = self.margins.best(logits)
                self.logged.append((seen[shallow], guess))
            if leaves:
                self.waiting.append((place, row))
                self.record.wrote(guess, shallow, seen)
                return
        deep = self.deep([*self.waiting, (place, row)])
        self.threshold.log(self.logged, deep, bool(self.waiting))
        if not self.rolled_back(deep):
            self.record.wrote(self.margins.best(deep[-1]), self.model.shape.layers, seen)
        self.waiting, self.logged = [], []

    def checked_end(self) -> bool:
        """Where tokens may be replaced, a text does not end before its waiting rows have been looked at."""
        if self.settings.get("rollback") is None or not self.waiting:
            return True
        back = self.rolled_back(self.deep(self.waiting))
        self.waiting = []
        return not back


def free(
    model: Model, prompt: list[int], count: int, settings: dict, margins: Margins, threshold: Threshold | None = None
):
    if threshold is None:
        threshold = Threshold(settings, margins)
    threshold.next_text()
    text = Text(model, prompt, settings, margins, threshold)
    while len(text.record.tokens) < count or not text.checked_end():
        if len(text.record.tokens) < count:
            yield
            text.step()
    text.record.more |= {"threshold": threshold.value, "waiting": [place for place, _ in text.waiting]}
    return text.record
