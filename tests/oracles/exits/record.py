"""What a run of a system leaves behind, and how far its decisions were from turning out otherwise."""

from dataclasses import dataclass, field

import numpy as np

from .model import Cache


class Close(Exception):
    """A decision nearer to its border than the floor allows."""


class Margins:
    """The smallest distance of each kind of decision from its border."""

    def __init__(self, floor: float = 0.0):
        self.floor, self.least = floor, {}

    def note(self, kind: str, distance: float) -> None:
        if distance < self.floor:
            raise Close(f"{kind} {distance:.2e}")
        self.least[kind] = min(self.least.get(kind, np.inf), float(distance))

    def best(self, logits: np.ndarray) -> int:
        """The greedy token; its margin is the distance of the two largest logits."""
        second, first = np.partition(logits, -2)[-2:]
        self.note("token", first - second)
        return int(logits.argmax())

    def above(self, value: float, border: float) -> bool:
        self.note("threshold", abs(value - border))
        return bool(value > border)

    def at_least(self, value: float, border: float) -> bool:
        self.note("threshold", abs(value - border))
        return bool(value >= border)

    def below(self, value: float, border: float) -> bool:
        self.note("threshold", abs(value - border))
        return bool(value < border)

    def join(self, other: "Margins") -> None:
        for kind, distance in other.least.items():
            self.note(kind, distance)


@dataclass
class Record:
    """One text. `confidence` has one entry for each token: depth of the probe to what was measured there."""

    tokens: list[int] = field(default_factory=list)
    exits: list[int] = field(default_factory=list)
    confidence: list[dict[int, float]] = field(default_factory=list)
    more: dict = field(default_factory=dict)
    cache: Cache | None = None

    def wrote(self, token: int, depth: int, confidence: dict[int, float] | None = None) -> None:
        self.tokens.append(token)
        self.exits.append(depth)
        self.confidence.append(confidence or {})

    def cut(self, count: int) -> None:
        del self.tokens[count:], self.exits[count:], self.confidence[count:]

    def table(self, depths: list[int]) -> np.ndarray:
        """[tokens, depths]; not a number where nothing was measured."""
        return np.array([[row.get(depth, np.nan) for depth in depths] for row in self.confidence])


def alone(steps):
    """Runs one text to its end."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def in_turns(runs: list) -> list:
    """Runs texts side by side, one token each in turn."""
    found: list = [None] * len(runs)
    open_runs = dict(enumerate(runs))
    while open_runs:
        for place, steps in list(open_runs.items()):
            try:
                next(steps)
            except StopIteration as end:
                found[place] = end.value
                del open_runs[place]
    return found
