"""Chooses who and what a story is about, and tells how stories begin and end."""

from data import words
from data.teller import Character, Place, Teller, Thing

FAMILY_TEXT = {"mom": "Mom", "dad": "Dad", "grandma": "Grandma", "grandpa": "Grandpa"}


def used_names(t: Teller) -> set[str]:
    return {value.text for value in t.fields.values() if isinstance(value, Character)}


def used_kinds(t: Teller) -> set[str]:
    return {value.kind for value in t.fields.values() if isinstance(value, Character)}


def child(t: Teller) -> Character:
    kind = t.pick(["girl", "boy"])
    name = t.pick(name for name in words.CHILDREN[kind] if name not in used_names(t))
    return Character(name, kind, "she" if kind == "girl" else "he", t.pick(words.TRAITS))


def animal(t: Teller, skill: str = "", without: str = "") -> Character:
    """An animal with a name, of a kind not yet in the story, that can (or cannot) do something."""
    kinds = [kind for kind, skills in words.ANIMALS.items() if kind not in used_kinds(t)]
    kinds = [kind for kind in kinds if not skill or skill in words.ANIMALS[kind].split()]
    kinds = [kind for kind in kinds if not without or without not in words.ANIMALS[kind].split()]
    kind = t.pick(kinds)
    name = t.pick(name for name in words.ANIMAL_NAMES if name not in used_names(t))
    return Character(name, kind, t.pick(["he", "she"]), t.pick(words.TRAITS), words.ANIMALS[kind])


def grownup(t: Teller) -> Character:
    kind = t.pick(kind for kind in words.GROWNUPS if kind not in used_kinds(t))
    return Character("the " + kind, kind, words.GROWNUPS[kind])


def relative(t: Teller) -> Character:
    kind = t.pick(kind for kind in words.FAMILY if kind not in used_kinds(t))
    return Character(FAMILY_TEXT.get(kind, f"the {kind}"), kind, words.FAMILY[kind])


def family(t: Teller) -> Character:
    """Mom, Dad or a grandparent: somebody who is called by a name."""
    kind = t.pick(kind for kind in FAMILY_TEXT if kind not in used_kinds(t))
    return Character(FAMILY_TEXT[kind], kind, words.FAMILY[kind])


def hero(t: Teller, without: str = "") -> Character:
    return child(t) if t.chance.random() < 0.5 else animal(t, without=without)


def friend(t: Teller) -> Character:
    """Of the hero's sort mostly, so that children play with children."""
    first = t.fields.get("a")
    same = first is not None and first.kind in ("girl", "boy")
    return child(t) if (t.chance.random() < 0.75) == same else animal(t)


def place(t: Teller, names=None) -> Place:
    name = t.pick(names or words.PLACES)
    at, to, spots = words.PLACES[name]
    return Place(name, at, to, spots.split("|"))


def thing(t: Teller, nouns: list[str]) -> Thing:
    taken = {value.noun for value in t.fields.values() if isinstance(value, Thing)}
    adjective = t.pick(words.COLORS if t.chance.random() < 0.7 else ["little", "big", "old", "new", "shiny", "pretty"])
    return Thing(t.pick(noun for noun in nouns if noun not in taken), adjective)


def set_out(t: Teller) -> None:
    """The first sentences: who `a` is."""
    a = t.fields["a"]
    if t.again:
        t.tell("[And that was not all|But that is not the end|There is more to tell about {a}|{a} had many more days like that].",
               "[The next week|Some days later|In the winter|A month later], something else happened to {a}.",
               "Do you want to hear more about {a}?", "Here is one more story about {a}.")
    elif a.named:
        t.tell("[Once upon a time|Once|Long ago|Once upon a time], there [was|was|lived] {a.intro}.",
               "[Once upon a time|Once|Once], there was {a.intro}.", "{a} was {a.kind_intro}.",
               "There once was {a.intro}.", "[This is a story about|Let me tell you about|Here is a story about] {a.full}.",
               "[In a small house|In a little town|At the edge of a forest|Near a big river|On a green hill|Not far from "
               "here|In a house by the sea|At the end of a long road] lived {a.intro}.")
        t.maybe(0.35, "{a} [loved|liked] to [play|sing|run and jump|help|explore|ask questions|laugh|play outside].",
                "Everybody liked {a.him}.", "{a} had a [big|warm|kind] heart.", "{a.he} was always [busy|ready to help|full of ideas].",
                "{a.he} lived with {a.his} [mother|family|grandmother].",
                "{a.he} had [bright|big|brown|kind] eyes and a [loud|soft|happy] [laugh|voice].")
    else:
        t.tell("[Once upon a time|Once|Long ago], there [was|lived] {a.intro}.")


DAYS = """One day|One day|One morning|One sunny day|One afternoon|One cold morning|One windy day|On a warm day|Early one morning
|One fine day|One Saturday|After breakfast|On Sunday|In the spring|Last summer|On a bright morning|One quiet day|Before lunch|One
evening|In the middle of the day|On the first day of summer|One autumn day|On a cloudy day|When the sun came up|After the rain|On the
last day of school|When the first leaves fell|On market day|One Friday|Just before noon"""
DAYS = [" ".join(day.split()) for day in DAYS.split("|")]


def one_day(t: Teller) -> str:
    return t.pick(DAYS)


def finish(t: Teller, together: bool = True, mood: str = "happy") -> None:
    """The last sentence."""
    if together and "b" in t.fields:
        t.tell("[From that day on|After that|From then on], {a} and {b} were [best|good|the best of] friends.",
               "And {a} and {b} [laughed|smiled|played] until the sun went down.", "{a} and {b} were very happy.",
               "That night, {a} and {b} both [slept very well|had sweet dreams|dreamed of their day].",
               "Then {a} and {b} went home [hand in hand|together|side by side|with a smile].",
               "It was the best day [of all|of the week|of the summer|ever].",
               "{a} looked at {b}, and {b} looked at {a}. Then they both laughed.", "\"Good night, {b},\" said {a}. \"See you tomorrow.\"",
               "{b} put {b.his} arm around {a}, and they looked at the [stars|moon|clouds].", "And the next day, they [met|played] again.",
               "They told [Mom|Grandma|everybody] about it, and {b} told the [best|funniest] part.", "{a} and {b} shared [a cookie|an apple|a pear|some cake].",
               "They sang a song on the way home.", "{a} was glad to have a friend like {b}.", "\"[You are a good friend|You are my best "
               "friend|I am glad that you are here|What a day],\" said {a}. {b} smiled.", "And they never forgot that day.",
               "{a} gave {b} a [big|warm|long] hug.", "And so they [lived happily|stayed friends] for a long, long time.")
    else:
        t.tell("{a} was [very|so] happy[| that night| all day long].", "{a} smiled [all the way home|and went to sleep|"
               "and waved]. ", "It was [a good|a very good|the best] day[| for {a}].", "That night, {a} [slept very well|"
               "had a sweet dream|fell asleep with a smile].", "{a} never forgot that day.", "In bed, {a} thought about it for a long time.",
               "{a} told [Grandma|Grandpa|the cat|the moon|everybody] all about it.", "After that, {a} sang a little song.",
               "The [stars|moon|sun] looked down and smiled too.", "From that day on, {a} was a little [braver|wiser|kinder].", "And {a} laughed and laughed.",
               "[Then|At last] {a} went home[| and had a cup of warm milk| and went to bed| and told everybody about it].",
               "And that was [how it was|the end of the story|that].")


def meet(t: Teller) -> None:
    """`b` comes along."""
    t.tell("[Then|Soon|Just then|After a while] {b.met} came [by|along|along the road].", "[Then|Soon|There] {a.he} met {b.met}.",
           "{b.met} saw {a} and came [over|closer|to see].")


def because(t: Teller, lesson: str) -> None:
    """Sometimes the story says what was learned."""
    t.know(lesson=lesson)
    t.maybe(0.4, "{a} [had learned|now knew|learned that day] that {lesson}.", "\"Now I know that {lesson},\" said {a}.",
            "And {a} never forgot that {lesson}.")
