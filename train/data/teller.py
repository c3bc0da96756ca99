"""Tells sentences from frames.

A frame is a sentence with choices and fields: `[One day|One morning], {a} [saw|found] {x.a} {p.at}.` Choices may be
empty and may nest. Fields name what takes part: `{a}` a character, `{a.he}` the pronoun, `{x.a}` a thing with its
article, `{p.to}` the way to a place.
"""

import random
import re

from data.scenes import SCENES

SCENE_SHARE = 0.4

TAGS = {"said", "asked", "cried", "called", "shouted", "whispered", "answered", "laughed", "thought", "replied", "sang"}
PRONOUNS = {"he": ("he", "him", "his"), "she": ("she", "her", "her"), "it": ("it", "it", "its"), "they": ("they", "them", "their")}
INNERMOST = re.compile(r"\[([^\[\]]*)\]")
FIELD = re.compile(r"\{(\w+)(?:\.(\w+))?\}")
START = re.compile(r"(^|[.!?] |[.!?]\" |\n|(?:^|[ \n])\")([a-z]+)(?= ([a-z]*))?")
WRONG_ARTICLE = re.compile(r"\b([Aa]) (?=[aeiou])(?!one|uni|use|eu)")


def article(words: str) -> str:
    return "an" if words[0] in "aeiou" and not words.startswith(("uni", "one")) else "a"


class Character:
    """Somebody: `text` is how the story calls them, `kind` what they are."""

    def __init__(self, text: str, kind: str, gender: str, trait: str = "", skills: str = ""):
        self.text, self.kind, self.trait = text, kind, trait
        self.he, self.him, self.his = PRONOUNS[gender]
        self.skills = skills.split()
        self.named = text[0].isupper()

    @property
    def intro(self) -> str:
        """`a shy mouse named Pip`, or `an old king`."""
        described = f"{self.trait} {self.kind}".strip()
        return f"{article(described)} {described}" + (f" named {self.text}" if self.named else "")

    @property
    def kind_intro(self) -> str:
        """`a shy mouse`."""
        described = f"{self.trait} {self.kind}".strip()
        return f"{article(described)} {described}"

    @property
    def full(self) -> str:
        """`Pip the mouse`, or the plain name of a child."""
        return f"{self.text} the {self.kind}" if self.named and self.kind not in ("girl", "boy") else self.text

    @property
    def intro_small(self) -> str:
        """`a little mouse named Pip`."""
        return f"a little {self.kind}" + (f" named {self.text}" if self.named else "")

    @property
    def met(self) -> str:
        """How one tells of meeting them: `Pip the mouse`, `an old king`."""
        return self.full if self.named else self.intro

    @property
    def s(self) -> str:
        return self.text + "'s"


class Thing:
    """Something: `red ball` with its article. `short` is what it is called once it is known."""

    def __init__(self, noun: str, adjective: str = ""):
        self.noun, self.adjective = noun, adjective
        self.text = f"{adjective} {noun}".strip()

    @property
    def a(self) -> str:
        return f"{article(self.text)} {self.text}"

    @property
    def the(self) -> str:
        return f"the {self.noun}"

    @property
    def full(self) -> str:
        return f"the {self.text}"


class Place:
    def __init__(self, name: str, at: str, to: str, spots: list[str]):
        self.text, self.at, self.to, self.spots = name, at, to, spots
        self.the = f"the {name}" if name != "school" else "school"


class Teller:
    """Writes down a story sentence by sentence."""

    def __init__(self, chance: random.Random):
        self.chance = chance
        self.fields: dict = {}
        self.parts: list[str] = []
        self.again = False  # whether this is a second story about the same `a`

    def know(self, **fields) -> None:
        if self.again:
            fields.pop("a", None)
        self.fields.update(fields)

    def begin_again(self) -> None:
        """Keeps `a` and forgets everybody else, for one more story in the same text."""
        self.fields, self.again = {"a": self.fields["a"]}, True
        self.paragraph()

    def render(self, frame: str) -> str:
        while True:
            frame, changed = INNERMOST.subn(lambda match: self.chance.choice(match[1].split("|")), frame)
            if not changed:
                break
        return " ".join(FIELD.sub(self.field, frame).split(" "))

    def field(self, match: re.Match) -> str:
        value = self.fields[match[1]]
        if match[2]:
            return str(getattr(value, match[2]))
        return value if isinstance(value, str) else str(getattr(value, "text", value))

    def tell(self, *frames: str) -> None:
        """One of the frames; where it brings somebody to a place, sometimes also what there is to see."""
        frame = self.chance.choice(frames)
        self.parts.append(self.render(frame))
        if re.search(r"\{p\.(at|to)\}[^.!?]*\.$", frame) and not re.search(r'"|want|going|hear|school', frame):
            if self.chance.random() < SCENE_SHARE:
                self.parts.append(self.render(self.chance.choice(SCENES[self.fields["p"].text])))

    def maybe(self, share: float, *frames: str) -> None:
        if self.chance.random() < share:
            self.tell(*frames)

    def paragraph(self) -> None:
        self.parts.append("\n")

    def pick(self, values):
        return self.chance.choice(list(values))

    def text(self) -> str:
        joined = " ".join(part for part in self.parts if part)
        joined = re.sub(r" *\n *", "\n", joined)
        joined = re.sub(r" +", " ", joined).replace(" ,", ",").replace(" .", ".").strip()
        return START.sub(capital, WRONG_ARTICLE.sub(r"\1n ", joined))


def capital(match: re.Match) -> str:
    """Begins a sentence or a speech with a capital; not the `said` after a speech."""
    before, word, following = match.groups()
    if before.endswith('" ') and before[0] in "!?" and (word in TAGS or following in TAGS and word in PRONOUNS):
        return match[0]
    return before + word[0].upper() + word[1:]
