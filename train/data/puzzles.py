"""Small tasks with one right answer each, in a steady form: sums, counting, who has what, copying, opposites.

Every answer's place in the text is kept, so that an evaluation can look at just those tokens.

    python -m data.puzzles --count 5 --seed 1
"""

import argparse
import random
from dataclasses import dataclass, field

from data import words
from data.teller import article


@dataclass
class Sheet:
    """A text with the places of its answers: (first character, one past the last, kind)."""

    chance: random.Random
    text: str = ""
    answers: list[tuple[int, int, str]] = field(default_factory=list)

    def write(self, text: str) -> "Sheet":
        self.text += text
        return self

    def answer(self, text: str, kind: str) -> "Sheet":
        self.answers.append((len(self.text), len(self.text) + len(text), kind))
        return self.write(text)

    def pick(self, values):
        return self.chance.choice(list(values))

    def some(self, values, count: int) -> list:
        return self.chance.sample(list(values), count)


def small(chance: random.Random, most: int = 10) -> int:
    """Mostly small numbers."""
    return min(chance.randint(0, most), chance.randint(0, most) + 1) if chance.random() < 0.6 else chance.randint(0, most)


def sums(sheet: Sheet) -> None:
    most = sheet.pick([5, 10, 10, 20])
    for _ in range(sheet.chance.randint(4, 8)):
        left, right = small(sheet.chance, most), small(sheet.chance, most)
        if sheet.chance.random() < 0.35:
            left, right = max(left, right), min(left, right)
            sheet.write(f"{left} - {right} = ").answer(str(left - right), "difference").write(".\n")
        else:
            sheet.write(f"{left} + {right} = ").answer(str(left + right), "sum").write(".\n")


def sums_in_words(sheet: Sheet) -> None:
    for _ in range(sheet.chance.randint(2, 4)):
        left, right = sheet.chance.randint(1, 6), sheet.chance.randint(1, 6)
        sheet.write(f"{words.NUMBERS[left].capitalize()} and {words.NUMBERS[right]} is ")
        sheet.answer(words.NUMBERS[left + right], "word_sum").write(".\n")


def counting(sheet: Sheet) -> None:
    step = sheet.pick([1, 1, 1, 2, 2, 5, 10])
    first = sheet.chance.randint(0, 12) if step == 1 else step
    numbers = [first + step * index for index in range(sheet.chance.randint(5, 9))]
    down = sheet.chance.random() < 0.35
    numbers = numbers[::-1] if down else numbers
    by = "" if step == 1 else f" by {'twos' if step == 2 else 'fives' if step == 5 else 'tens'}"
    sheet.write(f"Count {'down' if down else 'up'}{by} from {numbers[0]}: {numbers[0]}")
    for number in numbers[1:]:
        sheet.write(", ").answer(str(number), "count")
    sheet.write(".\n")


def a_thing(sheet: Sheet, nouns) -> list[tuple[str, str]]:
    """Different nouns with a color each."""
    return [(sheet.pick(words.COLORS), noun) for noun in nouns]


def who_has_what(sheet: Sheet) -> None:
    names = sheet.some(words.CHILDREN["girl"] + words.CHILDREN["boy"], sheet.chance.randint(2, 4))
    things = a_thing(sheet, sheet.some(words.TOYS[:12] + words.GIFT_WEAR + words.SMALL_THINGS[:9], len(names)))
    for name, (color, noun) in zip(names, things):
        sheet.write(f"{name} has {article(color)} {color} {noun}. ")
    for index in sheet.some(range(len(names)), min(len(names), sheet.chance.randint(2, 3))):
        color, noun = things[index]
        kind = sheet.chance.random()
        if kind < 0.5:
            sheet.write(f"Who has the {noun}? ").answer(names[index], "who_has").write(". ")
        elif kind < 0.8:
            sheet.write(f"What does {names[index]} have? {article(color).capitalize()} ")
            sheet.answer(f"{color} {noun}", "what_has").write(". ")
        else:
            sheet.write(f"What color is the {noun}? ").answer(color.capitalize(), "color_of").write(". ")
    sheet.text = sheet.text.rstrip(" ")
    sheet.write("\n")


def passing_on(sheet: Sheet) -> None:
    """A thing changes hands; who has it now?"""
    names = sheet.some(words.CHILDREN["girl"] + words.CHILDREN["boy"], 3)
    color, noun = sheet.pick(words.COLORS), sheet.pick(words.TOYS[:12])
    owner = names[0]
    sheet.write(f"{owner} has {article(color)} {color} {noun}. ")
    for _ in range(sheet.chance.randint(1, 3)):
        other = sheet.pick(name for name in names if name != owner)
        sheet.write(f"{owner} gives the {noun} to {other}. ")
        owner = other
    sheet.write(f"Now who has the {noun}? ").answer(owner, "now_has").write(".\n")


def where_is_it(sheet: Sheet) -> None:
    spots = sheet.some(["box", "bag", "basket", "drawer", "cup", "bowl", "hat", "pot", "bucket", "shoe"], 3)
    name, noun = sheet.pick(words.CHILDREN["girl"] + words.CHILDREN["boy"]), sheet.pick(words.SMALL_THINGS[:12])
    spot = spots[0]
    sheet.write(f"{name} puts the {noun} in the {spot}. ")
    for _ in range(sheet.chance.randint(0, 2)):
        spot = sheet.pick(one for one in spots if one != spot)
        sheet.write(f"Then {name} moves it to the {spot}. ")
    sheet.write(f"Where is the {noun}? In the ").answer(spot, "where_is").write(".\n")


def copying(sheet: Sheet) -> None:
    kind = sheet.pick(["copy", "copy", "reverse"])
    nouns = sheet.some([*words.ANIMALS, *words.FRUIT, *words.COLORS], sheet.chance.randint(2, 5 if kind == "copy" else 4))
    sheet.write(f"{'Say it again' if kind == 'copy' else 'Say it backwards'}: {', '.join(nouns)}. Now you: ")
    for index, noun in enumerate(nouns if kind == "copy" else nouns[::-1]):
        sheet.write(", " if index else "").answer(noun, kind)
    sheet.write(".\n")


def comparing(sheet: Sheet) -> None:
    for _ in range(sheet.chance.randint(2, 5)):
        left, right = sheet.some(range(0, 21), 2)
        if sheet.chance.random() < 0.5:
            sheet.write(f"Which is more, {left} or {right}? ").answer(str(max(left, right)), "compare").write(".\n")
        else:
            sheet.write(f"{left} is ").answer("more" if left > right else "less", "compare").write(f" than {right}.\n")


def following(sheet: Sheet) -> None:
    for _ in range(sheet.chance.randint(2, 4)):
        row, kind = sheet.pick([(words.DAYS, "day"), (words.DAYS, "day"), (words.MONTHS, "month")])
        index, after = sheet.chance.randrange(len(row)), sheet.chance.random() < 0.65
        sheet.write(f"{'After' if after else 'Before'} {row[index]} comes ")
        sheet.answer(row[(index + (1 if after else -1)) % len(row)], kind).write(".\n")


def opposites(sheet: Sheet) -> None:
    for left, right in sheet.some(words.OPPOSITES, sheet.chance.randint(2, 5)):
        left, right = (left, right) if sheet.chance.random() < 0.5 else (right, left)
        sheet.write(f"The opposite of {left} is ").answer(right, "opposite").write(".\n")


def rhymes(sheet: Sheet) -> None:
    for left, right in sheet.some(words.RHYMES, sheet.chance.randint(2, 4)):
        left, right = (left, right) if sheet.chance.random() < 0.5 else (right, left)
        sheet.write(f"A word that rhymes with {left} is ").answer(right, "rhyme").write(".\n")


def plurals(sheet: Sheet) -> None:
    for one, many in sheet.some(words.COUNTED.items(), sheet.chance.randint(2, 5)):
        number = sheet.chance.randint(2, 9)
        sheet.write(f"One {one}, {words.NUMBERS[number]} ").answer(many, "plural").write(".\n")


def spelling(sheet: Sheet) -> None:
    for word in sheet.some([word for word in words.ANIMALS if len(word) <= 6] + [*words.FRUIT], sheet.chance.randint(2, 3)):
        sheet.write(f"Spell {word}: ").answer("-".join(word), "spell").write(".\n")


def story_sum(sheet: Sheet) -> None:
    """A little story in which things come and go."""
    girl = sheet.chance.random() < 0.5
    name = sheet.pick(words.CHILDREN["girl" if girl else "boy"])
    he, him = ("she", "her") if girl else ("he", "him")
    other = sheet.pick(one for one in words.CHILDREN["girl"] + words.CHILDREN["boy"] if one != name)
    one, many = sheet.pick(item for item in words.COUNTED.items() if item[0] not in ("sheep", "fish"))
    count = sheet.chance.randint(1, 9)
    sheet.write(f"{name} had {count} {many if count > 1 else one}. ")
    for _ in range(sheet.pick([1, 1, 1, 2])):
        change = sheet.chance.randint(1, 5)
        if sheet.chance.random() < 0.55 or change > count:
            sheet.write(sheet.pick([f"{other} gave {him} {change} more. ", f"Then {he} found {change} more. ",
                                    f"{he.capitalize()} got {change} more from {other}. "]))
            count += change
        else:
            gone = "it" if change == 1 else "them"
            sheet.write(sheet.pick([f"{he.capitalize()} gave {change} to {other}. ", f"Then {he} lost {change} of them. ",
                                    f"{other} took {change} and ran away with {gone}. "]))
            count -= change
    sheet.write(f"Now {name} has ").answer(str(count), "story_sum").write(f" {one if count == 1 else many}.\n")


KINDS = {sums: 5, sums_in_words: 1, counting: 3, who_has_what: 4, passing_on: 3, where_is_it: 3, copying: 3, comparing: 2,
         following: 2, opposites: 1, rhymes: 1, plurals: 1, spelling: 2, story_sum: 6}


def puzzle(seed: int, number: int) -> tuple[str, list[tuple[int, int, str]]]:
    """Document `number` of the endless row that `seed` begins: its text and its answers."""
    chance = random.Random(f"puzzle/{seed}/{number}")
    sheet = Sheet(chance)
    kind = chance.choices(list(KINDS), list(KINDS.values()))[0]
    repeats = 1 if kind in (sums, comparing) else chance.randint(1, 3)
    for _ in range(repeats):
        kind(sheet)
    return sheet.text.rstrip("\n"), sheet.answers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    for number in range(arguments.count):
        print(puzzle(arguments.seed, number)[0] + "\n")


if __name__ == "__main__":
    main()
