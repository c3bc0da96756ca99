"""A document of the corpus, and which documents are held out."""

from dataclasses import dataclass, field

from data import filters

HELD_OUT_OF = 50  # one document in so many is held out


@dataclass
class Document:
    text: str
    kind: str
    answers: list[tuple[int, int, str]] = field(default_factory=list)
    copies: int = 1
    tokens: list[int] = field(default_factory=list)

    @property
    def digest(self) -> str:
        if not hasattr(self, "kept_digest"):
            self.kept_digest = filters.digest(self.text)
        return self.kept_digest


def held_out(document: Document) -> bool:
    """By its words alone, so that it is the same in every corpus."""
    return int(document.digest[:8], 16) % HELD_OUT_OF == 0


def without_copies(documents: list[Document]) -> list[Document]:
    return list({document.digest: document for document in documents}.values())
