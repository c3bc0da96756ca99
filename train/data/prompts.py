"""What the small language model is asked to write: many plain wishes for a story, each with its first words.

The answer's first words are given, so that the model neither greets nor explains, and so that it keeps to the plain
voice in which the story begins.
"""

import random

GIRLS = """Lily Mia Anna Zoe Rose May Emma Ella Sue Lucy Amy Jane Kate Molly Nina Ruby Sara Tina Daisy Polly Grace Ivy
Nora Betty Clara Dora Eve Fay Holly Jill Kim Lena Maya Nell Olive Penny Rita Sally Tess Wendy Ada Bella Cora""".split()
BOYS = """Tom Ben Max Sam Leo Tim Jack Bob Joe Dan Finn Gus Hugo Ian Jim Ken Luke Mark Ned Owen Paul Rob Sid Ted Will
Adam Bill Carl Dave Eli Fred Hank Jay Kit Lou Noah Oscar Pete Ray Toby Zack Andy""".split()
ANIMALS = """dog cat kitten puppy frog bear duck mouse owl rabbit fox turtle pony bird hen pig cow goat sheep lamb horse
bee ant snail squirrel monkey elephant lion tiger deer fish whale crab penguin hedgehog mole beaver goose chick donkey
butterfly ladybug wolf badger otter seal robin parrot swan""".split()
PET_NAMES = """Pip Star Spot Max Fluffy Buddy Bella Dot Coco Bobo Mimi Sunny Teddy Rex Ginger Patch Puff Snowy Tiny
Benny Lulu Momo Nibbles Pepper Rusty Socks Toto Hoppy Zip Biscuit Honey Button""".split()
TRAITS = """little small big young old kind shy brave happy sad lonely curious hungry funny lazy clever silly quiet
gentle sleepy busy proud friendly tired grumpy cheerful""".split()
PEOPLE = """king queen farmer baker fisherman teacher grandmother grandfather witch giant wizard princess prince sailor
doctor painter shoemaker gardener miller boatman robot dragon fairy snowman clown postman""".split()
PLACES = """in the garden|at the beach|in the forest|on a farm|at school|at the park|by the river|in a small town|in the
kitchen|on a boat|up in a tree|at the market|in the snow|in the rain|at the zoo|on a hill|by the sea|in a cave|in the
barn|near the pond|in a little house|in a big city|in the meadow|under a bridge|at a birthday party|at night|on a train
|in the mountains|on an island|in the library|in a shop|at the playground|in the desert|in a castle|by the fire|in bed
|in the attic|in the field|at the lake|on the way home""".replace("\n", " ").replace(" |", "|").split("|")
THINGS = """a red ball|a lost hat|a shiny stone|a blue kite|an apple cake|a big box|a broken toy|a little seed|a warm
coat|a drum|a lamp|a map|a book|a paper boat|a jar of honey|a bell|a bike|a pair of boots|a swing|a yellow flower|a
golden key|a balloon|an umbrella|a bowl of soup|a wooden spoon|a nest with eggs|a tall tower of blocks|a teddy bear|a
doll|a letter|a picture|a candle|a rope|a bucket|a basket of apples|a cookie|a pumpkin|a carrot|a snowball|a shell|a
feather|a ring|a mirror|a blanket|a clock|a whistle|a wagon|a sled|a puzzle|a button|a flute|a big fish|a loaf of bread
|a glass of milk|a garden gate|a rainbow|the moon|a star|a puddle|a loud noise""".replace("\n", " ").replace(
    " |", "|").split("|")
EVENTS = """learns to share|makes a new friend|is brave|says sorry|helps someone|gets lost and is found|is afraid of the
dark|tells the truth|waits for a long time|is angry and then calm|finds a surprise|is sad and then happy|works hard
|plays a trick|is kind to a stranger|loses something|breaks something|learns something new|goes to bed|cooks a meal
|builds something|gives a present|wins a race|finds a hidden place|hides|is ill and gets better|makes a mistake|has a
good idea|keeps a promise|tells a joke|falls down|learns to swim|plants a tree|cannot sleep|finds the way home|sees
something strange|does not give up|says goodbye|asks for help|makes everyone laugh""".replace("\n", " ").replace(
    " |", "|").split("|")

class Hero:
    """Who the story is about: how the wish names it, and how the first sentence does."""

    def __init__(self, chance: random.Random):
        kind = chance.choices(["girl", "boy", "animal", "pet", "person"], [3, 3, 3, 4, 2])[0]
        trait = chance.choice(TRAITS)
        noun, names = {
            "girl": ("girl", GIRLS), "boy": ("boy", BOYS), "animal": (chance.choice(ANIMALS), None),
            "pet": (chance.choice(ANIMALS), PET_NAMES), "person": (chance.choice(PEOPLE), None),
        }[kind]
        self.name = chance.choice(names) if names else None
        self.person = kind in ("girl", "boy")
        self.noun = noun
        self.description = f"{article(trait)} {trait} {noun}"
        self.named = f"{self.description} named {self.name}" if self.name else self.description


def article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def subject(chance: random.Random, hero: Hero) -> str:
    """What the story is to be about, in few words: a small model loses itself among many wishes."""
    place, thing, event = chance.choice(PLACES), chance.choice(THINGS), chance.choice(EVENTS)
    return chance.choice([
        f"{hero.named} who {event}", f"{hero.named} who {event}", f"{hero.named} and {thing}", f"{hero.named} {place}",
        f"{hero.named} {place} who {event}", f"{hero.named}, {thing} and a friend", f"{hero.named} and a good friend",
        f"how {hero.named} {event}",
    ])


def first_words(chance: random.Random, hero: Hero) -> str:
    """The words with which the story begins; the model goes on from there."""
    called = hero.name or f"the {hero.noun}"
    started = chance.choice(["Once upon a time, there was", "Once upon a time, there was", "Once there was",
                             "There once was", "In a small town, there lived", "In a little house, there lived"])
    there = f"{started} {hero.named}."
    plain = called[0].upper() + called[1:]
    return chance.choice([there, there, there, f"{there} {plain} was", f"{there} {plain} loved to", f"{there} One day,",
                          f"One day, {called} was", f"One day, {called} went", f"One morning, {called} woke up",
                          f"{plain} was", f"It was a sunny day, and {called}", f"{there} {plain} wanted"])


def wish(chance: random.Random) -> tuple[str, str]:
    """A prompt for the model and the first words of its answer."""
    hero = Hero(chance)
    asked = f"Write a very short and simple story for little children about {subject(chance, hero)}."
    return f"<|im_start|>user\n{asked}<|im_end|>\n<|im_start|>assistant\n", first_words(chance, hero)
