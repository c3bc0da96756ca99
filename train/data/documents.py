"""A document of the corpus, and which documents are held out."""

import hashlib
import re
from dataclasses import dataclass, field
from functools import cached_property

HELD_OUT_OF = 50  # one document in so many is held out


@dataclass
class Document:
    text: str
    kind: str
    answers: list[tuple[int, int, str]] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)

    @cached_property
    def digest(self) -> str:
        """Of the words alone, so that a change of marks or case makes no new document."""
        return hashlib.sha256(" ".join(re.findall(r"[a-z0-9]+", self.text.lower())).encode()).hexdigest()


def held_out(document: Document) -> bool:
    """By its words alone, so that it is the same in every corpus."""
    return int(document.digest[:8], 16) % HELD_OUT_OF == 0
