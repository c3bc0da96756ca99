"""Stories told by two: our plot, and between its sentences some that SmolLM2 adds.

The plot keeps the story together, which a model of 135M parameters cannot; the model adds what no list of frames has.
Its sentence stays only if it fits: short, sure of itself, in plain words, and about nobody who is not in the story.
"""

import math
import random
import re

from data import filters, grammar, words

PROMPT = ("<|im_start|>user\nWrite a short and simple story for little children.<|im_end|>\n"
          "<|im_start|>assistant\n")
SHARE = 0.5  # of the gaps between sentences in which the model may add one
TEMPERATURE = 0.65
LEAST_SHARE = 0.08  # of the likeliest token's probability; less likely ones are never taken
LONGEST = 24  # tokens of an added sentence
LEAST_SURE = -1.1  # mean log-probability of an added sentence's tokens
NAME = re.compile(r"\b[A-Z][a-z]+")
JUMPS = re.compile(r"^(One|The next|Later|Once|After|Then one|In the end|Finally|Suddenly|When)\b")
BEINGS = {*words.ANIMALS, *words.GROWNUPS, *words.FAMILY, "girl", "boy", "man", "woman", "lady", "wolf", "baby", "sister",
          "brother", "mother", "father", "ghost", "monster", "people", "children", "bunny", "person", "puppies", "daughter", "son"}
STARTERS = {"The", "He", "She", "It", "They", "But", "So", "And", "I", "We", "You", "His", "Her", "Their", "What", "This",
            "There", "My", "Your", "That", "No", "Yes", "Oh", "Let", "Do", "Please", "Now", "In", "At", "All", "Everyone"}


def gap(before: str, after: str) -> bool:
    """Whether something may stand between two sentences: not inside a speech, and not after a question."""
    spoken = '"' in before and after.startswith('"')
    return not spoken and before[-1] in '."' and not before.endswith(('?"', ":")) and before.count('"') % 2 == 0


def fits(sentence: str, story: list[str]) -> bool:
    """Whether an added sentence may stay."""
    told = " ".join(story)
    found = filters.words_of(sentence)
    if len(found) < 3 or filters.unfit(sentence) or JUMPS.search(sentence):
        return False
    if set(NAME.findall(sentence)) - set(NAME.findall(told)) - STARTERS:
        return False
    known = set(filters.words_of(told))
    if any(word in BEINGS and word not in known for word in found):
        return False
    triples = set(zip(found, found[1:], found[2:]))
    old = filters.words_of(told)
    if len(triples & set(zip(old, old[1:], old[2:]))) > 0.4 * len(triples):
        return False
    content = [word for word in found if word not in filters.COMMON]
    return len(set(content)) >= 0.75 * len(content) and "special" not in content


class Duet:
    """One such story as it is written. `waiting` is what the model reads next, from `position` on."""

    longest_position = 400

    def __init__(self, model, seed: int, worker: int, number: int):
        self.number = number
        self.chance = random.Random(f"duet/{seed}/{worker}/{number}")
        text = grammar.story(self.chance.getrandbits(60), number)
        self.plot = [sentence.strip() for sentence in filters.sentences(text)]
        self.told, self.added = [self.plot.pop(0)], []
        self.waiting, self.position = model.tokens(PROMPT + self.told[0]), 0
        self.free: list[int] | None = None
        self.sure, self.start = 0.0, 0

    def read(self) -> None:
        """The model has read what was waiting."""
        self.position += len(self.waiting)
        self.waiting = []

    def go_on(self, model, sequence: int, values: list[float], tokens: list[int]) -> dict | None:
        """Takes one step after the model's forecast; gives the story once it is whole."""
        if self.free is None:
            open_gap = self.plot and gap(self.told[-1], self.plot[0]) and self.position < self.longest_position - 120
            if not open_gap or self.chance.random() >= SHARE:
                return self.next_of_plot(model)
            self.free, self.sure, self.start = [], 0.0, self.position
        token = self.draw(values, tokens)
        piece = model.pieces[token]
        self.free.append(token)
        text = b"".join(model.pieces[one] for one in self.free).decode("ascii", "replace")
        ended = re.search(r'[.!?]"?$', text) and text.count('"') % 2 == 0
        if token in model.ends or b"\n" in piece or not text.startswith(" ") or len(self.free) >= LONGEST:
            return self.take_back(model, sequence)
        if not ended:
            self.waiting = [token]
            return None
        if self.sure / len(self.free) < LEAST_SURE or not fits(text.strip(), self.told):
            return self.take_back(model, sequence)
        self.told.append(text.strip())
        self.added.append(len(self.told) - 1)
        self.free = None
        return self.next_of_plot(model, [token])

    def draw(self, values: list[float], tokens: list[int]) -> int:
        best = max(values)
        weights = [math.exp((value - best) / TEMPERATURE) for value in values]
        choice = self.chance.choices(range(len(tokens)), [one if one >= LEAST_SHARE else 0.0 for one in weights])[0]
        self.sure += values[choice] - best - math.log(sum(math.exp(value - best) for value in values))
        return tokens[choice]

    def take_back(self, model, sequence: int) -> dict | None:
        """Forgets the sentence that did not fit."""
        model.forget(sequence, self.start)
        self.position, self.free = self.start, None
        return self.next_of_plot(model)

    def next_of_plot(self, model, unread: list[int] = ()) -> dict | None:
        if not self.plot or self.position > self.longest_position:
            text = " ".join(self.told + self.plot)
            return {"number": self.number, "text": text, "added": self.added}
        self.told.append(self.plot.pop(0))
        self.waiting = [*unread, *model.tokens(" " + self.told[-1])]
        return None


def fit(line: dict) -> bool:
    """Whether a finished duet is worth keeping: the model added something."""
    return bool(line["added"])
