"""What there is to see and hear at each place, and what the weather does: sentences that fit once somebody is there."""

import re


def split(text: str) -> list[str]:
    """The sentences; a bar inside brackets is a choice and stays."""
    return [" ".join(sentence.split()) for sentence in re.split(r"(?<=\.)\|", text)]


SCENES = {
    "garden": """The roses were [red|white|yellow], and they smelled sweet.|A [bee|butterfly] flew from flower to flower.|The grass
was still wet.|There were [beans|tomatoes|carrots] in neat little rows.|A snail sat on a leaf and did not move.|The old gate made a funny sound.""",
    "park": """Some children played with a ball.|The ducks on the pond said quack.|An old man sat on a bench and fed the birds.|The
leaves were [green|yellow|red and gold].|Somebody played music under a tree.|A dog ran after a stick.""",
    "forest": """It was [cool|dark|quiet] under the trees.|The leaves whispered in the wind.|A [woodpecker|squirrel] was busy high up in a
tree.|It smelled of [moss|rain|mushrooms].|Small mushrooms stood in a ring.|The sun fell through the leaves like gold.""",
    "beach": """The waves went in and out.|The sand was [warm|hot|soft].|White birds cried over the sea.|There were shells everywhere.|The
water was [cold|blue|green] and clear.|A small boat was far out on the sea.""",
    "farm": """The [cows|hens|pigs] were hungry, as always.|A rooster stood on the fence and sang.|It smelled of hay.|The cat slept on
an old cart.|The horses looked over the fence.|There were [brown|white] eggs in a basket.""",
    "meadow": """There were [yellow|white|blue] flowers everywhere.|The grass was so high that one could hide in it.|A grasshopper
jumped from leaf to leaf.|The bees were humming.|Two [lambs|rabbits] played in the sun.|A cloud that looked like a sheep went by.""",
    "river": """The water ran over the stones and sang.|A fish jumped out of the water.|The river was [wide|slow|fast] and
[blue|green|brown].|A leaf floated by like a little boat.|Two ducks swam under the bridge.|The stones were smooth and round.""",
    "lake": """The lake was as smooth as a mirror.|A [swan|duck] swam by.|One could see the clouds in the water.|The frogs were singing.|
A boat was tied to a tree.|The wind made small waves.""",
    "market": """There were apples, cheese and bread.|Everybody talked at the same time.|A woman sold [flowers|fish|honey].|It smelled
of fresh bread.|A man played the drum.|There were baskets of [plums|nuts|pears].""",
    "school": """The bell rang.|The teacher wrote on the board.|There were pictures on the wall.|All the children were talking.|The sun
shone through the window.|It smelled of paint and paper.""",
    "kitchen": """It was warm, and it smelled of [soup|bread|cake].|A pot stood on the stove.|The clock said tick, tock.|The rain ran down
the window.|There was a bowl of [apples|cherries|plums] on the table.|The spoons hung in a row.""",
    "barn": """It was dark and smelled of hay.|A hen sat on her eggs.|The old door creaked.|A mouse ran along the wall.|The rain drummed on
the roof.|The cow looked up and said moo.""",
    "attic": """There was dust on everything.|A spider sat in her web.|The wind blew around the roof.|There were old [hats|books|chairs] and
boxes.|A little bit of light came through the window.|The floor creaked at each step.""",
    "playground": """The swings went up and down.|Somebody was laughing on the slide.|There was a castle in the sand.|A [girl|boy] sat
on the seesaw, all alone.|The children stood in a row.|Two friends were skipping.""",
    "hill": """From there one could see the whole town.|The wind was strong up there.|The houses below looked like toys.|A sheep looked up and
went on eating.|The grass bent in the wind.|One could see as far as the sea.""",
    "pond": """A frog sat on a leaf.|The water was green and still.|A dragonfly shone in the sun.|Small fish swam in the shade.|The ducks
were asleep.|There were circles on the water.""",
    "yard": """The wash hung on the line.|A cat sat on the fence.|There was a puddle by the steps.|The neighbor's dog barked.|A [red|blue]
bike stood at the wall.|Somebody had drawn a sun on the ground.""",
    "library": """It was very quiet.|There were books up to the ceiling.|An old lady read a big book.|Somebody turned a page.|A clock ticked
on the wall.|It smelled of paper.""",
    "town": """The shops were open.|A bus went by.|The bells rang from the tower.|There were [red|white] flowers in the windows.|The
baker stood in front of his door.|Many feet went up and down the street.""",
    "orchard": """The trees were full of fruit.|A ladder stood in the grass.|The bees were busy in the trees.|A [pear|plum|apple] fell
into the grass.|The birds had come to eat the cherries.|It smelled sweet.""",
}
SCENES = {place: split(text) for place, text in SCENES.items()}
WEATHER = """The sun was [warm|shining|high in the sky].|The sky was [blue|gray|pink].|It was [warm|cold|windy].|There was not one cloud in
the sky.|A soft wind blew.|It had rained all night.|The birds were singing.|The air smelled of [spring|rain|flowers|snow].|White clouds went
by.|It was still early.|The [snow|frost] had gone, and everything was green.|It was the first [warm|cold] day of the year."""
WEATHER = split(WEATHER)
