"""Cleans what the language model wrote: keeps plain, varied beginnings of stories and drops the rest."""

import hashlib
import re
from collections import Counter

SHORTEST, LONGEST = 160, 900
SENTENCE = re.compile(r"[^.!?]*[.!?]+[\"']?(?:\s+|$)")
WORD = re.compile(r"[a-z']+")
ABOUT_ITSELF = re.compile(
    r"\b(stor(y|ies) (is|was|began|continued|ends?|about|of|for|teaches|that)|this (story|tale)|(the|our) (moral|lesson|tale)"
    r"|main character|bedtime story|sure,|certainly|here (is|are)|here's|title|chapter|narrator|the end\b|assistant|prompt)", re.I)
UNFIT = re.compile(
    r"\b(kill\w*|murder\w*|die[sd]?|dying|dead|death|sex\w*|breasts?|naked|drunk|beer|wine|whiskey|guns?|shoot|shot|blood\w*"
    r"|suicid\w*|cigarettes?|smok(e|ed|ing)|drugs?|hell|damn|devil|god|jesus|church|christ\w*|allah|stupid|ugly|fat|hate[ds]?|slaves?|war"
    r"|soldiers?|weapons?|knife|funerals?|cancer|divorce\w*|wife|husband|pregnan\w*|toilet|bathroom|belly button|kidnap\w*)\b", re.I)
HARD = re.compile(r"[^ -~\n]|[*#\[\]{}<>_|\\/@=+~^`&%$;:()]|\d")
COMMON = frozenset("""the a an and to of in on at he she it they was were is are his her their him them you i we said had with for
that so but not did do as up out all very be then what who there my me your this from one into would could when went day
very have has will can go just like no by if about back some more down over around""".split())


def words_of(text: str) -> list[str]:
    return WORD.findall(text.lower())


def sentences(text: str) -> list[str]:
    """The whole sentences; what follows the last one is left out. White space stays with the sentence before it."""
    return SENTENCE.findall(text)


def clean(text: str) -> str | None:
    """The fit part of a story, or nothing."""
    text = re.sub(r"[ \t]+", " ", text.replace("\n\n", "\n")).replace(" \n", "\n").replace("\n ", "\n").strip()
    kept: list[str] = []
    seen: set[tuple] = set()
    used: Counter = Counter()
    for sentence in sentences(text):
        found = words_of(sentence)
        triples = set(zip(found, found[1:], found[2:]))
        stale = len(triples & seen) > 0.4 * max(len(triples), 1)
        used.update(word for word in found if word not in COMMON)
        if stale or unfit(sentence) or used and worn_out(used, len(kept)) or len("".join(kept)) + len(sentence) > LONGEST:
            break
        seen |= triples
        kept.append(sentence)
    return finished(kept)


def unfit(sentence: str) -> bool:
    return bool(HARD.search(sentence) or ABOUT_ITSELF.search(sentence) or UNFIT.search(sentence))


def worn_out(used: Counter, count: int) -> bool:
    """Whether one word that is no name comes too often."""
    return used.most_common(1)[0][1] > 5 + 0.5 * count


def finished(kept: list[str]) -> str | None:
    """Cuts back to where every speech is closed; nothing if too little is left."""
    while kept and "".join(kept).count('"') % 2:
        kept.pop()
    text = "".join(kept).strip()
    return text if len(text) >= SHORTEST and len(kept) >= 3 and varied(text) else None


def varied(text: str) -> bool:
    """Few repeated phrases and no word that takes over the text."""
    found = words_of(text)
    triples = list(zip(found, found[1:], found[2:]))
    content = Counter(word for word in found if word not in COMMON)
    special = sum(content[word] for word in ("special", "happy", "big", "proud", "loved"))
    return len(set(triples)) >= 0.9 * len(triples) and special <= 0.06 * len(found)


def simple(texts: list[str]) -> list[str]:
    """Leaves out stories in which more than three words in a hundred are hardly used by any other story."""
    documents: Counter = Counter()
    for text in texts:
        documents.update(set(words_of(text)))
    least = min(1 + len(texts) // 1000, 4)

    def rare(text: str) -> float:
        found = words_of(text)
        return sum(documents[word] < least for word in found) / len(found)

    return [text for text in texts if rare(text) <= 0.03]


def digest(text: str) -> str:
    """Of the words alone, so that a change of marks or case makes no new document."""
    return hashlib.sha256(" ".join(re.findall(r"[a-z0-9]+", text.lower())).encode()).hexdigest()


def shingles(text: str, length: int = 8) -> set[int]:
    """Numbers that stand for the runs of `length` words in a text."""
    found = re.findall(r"[a-z0-9]+", text.lower())
    runs = (" ".join(found[start : start + length]) for start in range(max(len(found) - length + 1, 1)))
    return {int.from_bytes(hashlib.blake2b(run.encode(), digest_size=8).digest(), "little") for run in runs}
