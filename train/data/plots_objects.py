"""Stories about things: lost, stuck, broken, given, traded, found."""

from data import words
from data.cast import animal, because, family, finish, friend, grownup, hero, one_day, place, set_out, thing
from data.teller import Teller


def lost_thing(t: Teller) -> None:
    t.know(a=hero(t))
    t.know(b=friend(t), p=place(t), x=thing(t, words.TOYS + words.WEAR), day=one_day(t))
    t.know(spot=t.pick(t.fields["p"].spots))
    t.know(wrong=t.pick(spot for spot in t.fields["p"].spots if spot != t.fields["spot"]))
    set_out(t)
    t.tell("{a} had {x.a}.", "{a.he} had {x.a} that {a.he} loved very much.", "{a}'s favorite thing was {x.a}.",
           "{a} took {x.a} everywhere.")
    t.maybe(0.4, "It was a present from [Grandma|Grandpa|an old friend|Mom|Dad].", "It was very [old|special|soft|pretty].",
            "{a.he} never went out without it.")
    t.tell("{day}, {a} went {p.to}[| to play| with it| and took {x.the} along].", "{day}, {a} played {p.at}.")
    t.tell("{a.he} ran and jumped and [sang|laughed].", "{a.he} looked at the [birds|clouds|ants] for a long time.",
           "{a.he} picked flowers.", "It was so warm that {a.he} fell asleep.")
    t.tell("[Then|Suddenly|After a while|But then], {x.the} was gone!", "When {a} looked around, {x.the} was not there.",
           "When it was time to go home, {a} could not find {x.the}.")
    t.tell("\"Where is my {x.noun}?\" [cried|asked|said] {a}.", "\"Oh no! My {x.noun}!\" cried {a}.",
           "{a} was very sad. {a.he} began to cry.", "\"I have lost my {x.noun},\" said {a}[| sadly| with a sad face].")
    t.tell("{a} looked {wrong}. It was not there.", "First {a.he} looked {wrong}. There was nothing.",
           "{a.he} looked here and there, but {a.he} did not see it.")
    t.tell("Then {b.full} came along.", "{b.full} saw {a} and came over.", "Just then, {b.full} came by.")
    t.tell("\"Why are you [sad|crying]?\" asked {b}. \"I cannot find my {x.noun},\" said {a}.",
           "\"What is wrong?\" asked {b}. {a} told {b.him} about {x.the}.", "\"Can I help you?\" asked {b}. \"Yes, please,\" said {a}.")
    t.tell("\"Let us look together,\" said {b}.", "\"Do not cry. We will find it,\" said {b}.", "\"Four eyes see more than two,\" said {b}.")
    t.tell("They looked and looked. {b} looked {spot}, and there it was!", "Then {b} saw something [small|strange|{x.adjective}] {spot}. It was {x.the}!",
           "{b} looked {spot}. \"I see it!\" {b.he} [cried|called].",
           "At last they found {x.the} {spot}.")
    t.tell("\"Thank you, {b}!\" said {a}.", "{a} jumped for joy. \"Thank you!\" {a.he} said.", "{a} was so happy that {a.he} danced.",
           "\"You found it! Thank you so much,\" said {a}.")
    because(t, "two can find more than one")
    finish(t)


def stuck_thing(t: Teller) -> None:
    t.know(a=hero(t, without="fly"))
    skill = t.pick(["fly", "climb", "tall"])
    t.know(c=animal(t, skill), x=thing(t, ["ball", "kite", "balloon", "hat", "scarf", "toy plane"]), day=one_day(t))
    t.know(tree=t.pick(words.TREES), b=friend(t), p=place(t, ["garden", "park", "meadow", "hill", "yard"]))
    set_out(t)
    t.tell("{day}, {a} was {p.at} with {x.a}.", "{day}, {a} and {b} played {p.at} with {x.a}.")
    t.tell("[A strong wind|The wind] came and [blew|took|carried] {x.the} [up|away] into [the|a] {tree}.",
           "{a} threw {x.the} too high, and it landed in [the|a] {tree}.", "Up, up, up it went, and then it hung in [the|a] {tree}.")
    t.tell("\"Oh no!\" cried {a}. \"Now it is stuck!\"", "{a} looked up. {x.the} was far too high.", "\"I cannot reach it,\" said {a}.")
    t.tell("{a} jumped as high as {a.he} could, but it was not high enough.", "{a.he} shook the tree, but nothing fell down.",
           "{a.he} threw a stick at it, but the stick got stuck too.", "{a.he} stood on a [box|bucket|chair], but it was still too high.")
    t.maybe(0.5, "{b} tried too, but {b.he} [fell down|could not do it either].", "\"Let me try,\" said {b}. But {b} could not reach it.",
            "\"We need help,\" said {b}.")
    t.tell("Then {c.full} came by.", "{c.full} heard them and came to see.", "[An hour later|Soon], {c.full} came along the path.")
    t.tell("\"What are you looking at?\" asked {c}. \"My {x.noun} is in the tree,\" said {a}.", "\"Can you help us?\" asked {a}.",
           "\"I can help you,\" said {c}.")
    t.tell({"fly": "{c} flew up into the tree and pulled {x.the} out of the leaves.", "climb": "{c} climbed up the tree, higher and "
            "higher, until {c.he} had {x.the}.", "tall": "{c} was so tall that {c.he} only had to stretch {c.his} neck."}[skill],
           {"fly": "{c} opened {c.his} wings, flew up and came down with {x.the}.", "climb": "Up went {c}, from branch to branch, and "
            "down came {x.the}.", "tall": "{c} was very tall. {c.he} took {x.the} gently with {c.his} mouth."}[skill])
    t.tell("\"Here it is,\" said {c}.", "{c} gave {x.the} back to {a}.", "Soon {a} had {x.the} in {a.his} hands again.")
    t.tell("\"Thank you, {c}!\" said {a}.", "{a} thanked {c} and asked {c.him} to play with them.", "\"You are a good friend,\" {a} told {c}.")
    t.tell("They all played together [until dark|all afternoon|until it was time to eat].", "{a}, {b} and {c} played all day.")
    finish(t)


def broken_thing(t: Teller) -> None:
    t.know(a=hero(t))
    t.know(m=family(t), x=thing(t, ["cup", "plate", "bowl", "lamp", "vase", "mirror", "clock", "teapot", "jar"]), day=one_day(t))
    set_out(t)
    t.tell("{m} had {x.a}[| that was very old| that {m.he} liked very much| from {m.his} own mother].")
    t.tell("{day}, {a} played with a ball in the house.", "{day}, {a} ran around the table again and again.",
           "{day}, {a} wanted to see {x.the} up close, and took it from the shelf.", "{day}, {a} danced in the kitchen.")
    t.tell("Crash! {x.the} fell down and broke.", "Then there was a loud crash. {x.the} lay on the floor in [two|three|many] pieces.",
           "Oh no! {x.the} fell on the floor, and it broke.")
    if t.chance.random() < 0.5:
        t.tell("{a} was [afraid|scared]. {a.he} hid the pieces under the bed.", "{a} quickly put the pieces into a box.")
        t.tell("At dinner, {m} asked, \"Where is my {x.noun}?\" {a} said nothing, but {a.his} face was red.",
               "\"Have you seen my {x.noun}?\" asked {m}. \"No,\" said {a}, but {a.he} felt bad inside.")
        t.tell("That night, {a} could not sleep. {a.he} thought about {x.the}.", "{a.his} tummy hurt, and {a.he} could not eat.")
        t.tell("In the end, {a.he} went to {m}. \"I broke it,\" {a.he} said. \"I am sorry.\"",
               "{a} got up and told {m} the truth. \"I am so sorry,\" {a.he} said, and cried.")
    else:
        t.tell("{a} thought for a moment. Then {a.he} went to {m}.", "{a} wanted to hide. But {a.he} was brave and called {m}.")
        t.tell("\"I am sorry,\" said {a}. \"I broke your {x.noun}.\"", "\"It was me,\" {a} said. \"I was not careful.\"")
    t.tell("{m} was sad about {x.the}, but {m.he} was not angry.", "{m} looked at {a} for a long time. Then {m.he} smiled a little.",
           "\"Thank you for telling me the truth,\" said {m}.", "{m} took {a} in {m.his} arms.")
    t.tell("Together they [glued|put] the pieces together again. It was not perfect, but it was [pretty|good enough].",
           "They got some glue and worked all evening. At last {x.the} was whole again.",
           "\"Things can break,\" said {m}. \"But we can fix many of them.\" And so they did.")
    because(t, "it is good to tell the truth")
    finish(t, together=False)


def trade_chain(t: Teller) -> None:
    t.know(a=hero(t), x=thing(t, words.SMALL_THINGS), day=one_day(t))
    set_out(t)
    t.tell("{a} had only {x.a}.", "All that {a} had was {x.a}.", "{day}, {a} found {x.a} on the road.")
    goal = thing(t, words.TOYS)
    t.know(g=goal)
    t.tell("But {a.he} [wanted|wished for] {g.a}.", "More than anything, {a.he} wanted {g.a}.")
    t.know(p=place(t, ["market", "town", "farm", "park"]))
    t.tell("So {a.he} went {p.to}.", "So {a.he} put {x.the} in {a.his} pocket and went {p.to}.")
    for step in range(t.pick([1, 2, 2])):
        t.know(y=thing(t, words.HOME_THINGS + words.WEAR + words.TOOLS), b=grownup(t) if step == 0 else animal(t))
        t.tell("[There|On the way|First|Soon] {a.he} met {b.met}.", "{b.met} stood by the road.")
        t.tell("\"I [need|am looking for] {x.a},\" said {b}. \"I will give you my {y.noun} for it.\"",
               "\"What a nice {x.noun}!\" said {b}. \"Can I have it? You can have {y.a} for it.\"")
        t.tell("So {a} gave {b} {x.the} and got {y.a}.", "{a} said yes. Now {a.he} had {y.a} and {b} had {x.the}.")
        t.know(x=t.fields["y"])
    t.know(b=friend(t))
    t.tell("[Then|At last|In the end] {a} met {b.full}. {b} had {g.a}.", "{b.full} sat on a bench with {g.a}. {b.he} looked sad.")
    t.tell("\"I would like to have {x.a},\" said {b}.", "\"Oh, {x.a}! I have wanted one for so long,\" said {b}.")
    t.tell("\"You can have it,\" said {a}. \"Will you give me your {g.noun} for it?\" And so they did.",
           "{a} gave {b} {x.the}, and {b} gave {a} {g.the}.")
    t.tell("Now {a} had {g.the}, and {b} had {x.the}.", "Both of them were happy with what they had.", "\"What a good day,\" said {a}.")
    finish(t)


def gift(t: Teller) -> None:
    t.know(a=hero(t))
    t.know(b=friend(t), x=thing(t, words.TOYS + words.GIFT_WEAR), y=thing(t, words.SMALL_THINGS), day=t.pick(words.DAYS))
    set_out(t)
    t.tell("On {day} it was {b}'s birthday.", "{b.full} was {a.his} best friend, and {b}'s birthday was on {day}.")
    t.tell("\"What can I give to {b}?\" thought {a}.", "{a} wanted to give {b} a present.")
    t.maybe(0.5, "{b} liked {x.a} in the shop, but {a} had no money.", "{a} looked in the shop, but everything cost too much.")
    how = t.pick(["made", "found", "own"])
    if how == "made":
        t.know(gift=t.pick(["a picture", "a cake", "a paper crown", "a card", "a necklace of shells", "a wooden boat"]))
        t.tell("So {a} made {gift}. It took all [day|morning|evening].", "\"I will make {gift},\" said {a}. And {a.he} began at once.")
        t.tell("{a.his} hands were full of [paint|glue|color] in the end, but it was very pretty.",
               "It was not easy, but {a.he} did not give up.")
    elif how == "found":
        t.know(p=place(t), gift=t.fields["y"].a)
        t.tell("{a} went {p.to} to think. There {a.he} saw something [shiny|pretty] on the ground. It was {y.a}.")
        t.tell("{a.he} washed it and put it into a little box.", "\"{b} will love it,\" thought {a}.")
    else:
        t.know(gift=t.fields["x"].a)
        t.tell("Then {a} looked at {a.his} own {x.noun}. {a.he} liked it very much. But {a.he} liked {b} even more.")
        t.tell("{a.he} put {x.the} into a box with a [red|blue|yellow] ribbon.")
    t.tell("At the party, {b} opened the present from {a}.", "On {day}, {a} gave the present to {b}.")
    t.tell("\"Oh! It is {gift}!\" cried {b}.", "{b}'s eyes were big and bright. It was {gift}!")
    t.tell("\"It is the best present of all,\" said {b}.", "\"Thank you, {a}. I love it,\" said {b}.", "{b} laughed and hugged {a}.")
    because(t, "a present from the heart is the best present")
    finish(t)


def found_thing(t: Teller) -> None:
    t.know(a=hero(t), day=one_day(t))
    t.know(b=friend(t), p=place(t), x=thing(t, words.SMALL_THINGS[:10] + words.TOYS + words.WEAR))
    t.know(spot=t.pick(t.fields["p"].spots), adj=t.fields["x"].adjective)
    set_out(t)
    t.tell("{day}, {a} found {x.a} {p.at}.", "{day}, {a} went {p.to}. There was {x.a} {spot}.")
    t.tell("\"What a nice {x.noun}!\" said {a}. \"But whose is it?\"", "{a} wanted to keep it. But it was not {a.his} own.",
           "\"Somebody must have lost it,\" said {a}.")
    others = [friend(t), grownup(t)]
    t.know(c=others[0])
    t.know(d=others[1])
    t.tell("First {a.he} asked {c.full}. \"Is this your {x.noun}?\" \"No,\" said {c}. \"My {x.noun} is at home.\"",
           "{a} showed it to {c.full}. \"It is not mine,\" said {c}.")
    t.maybe(0.6, "Then {a.he} asked {d}. But {d} did not know whose it was.", "\"Ask {b},\" said {d}. \"{b} is looking for something.\"")
    t.tell("Then {a} saw {b.full}. {b} looked under [a bench|a bush|every stone] and looked very sad.",
           "At last {a.he} came to {b.full}. {b} was crying.")
    t.tell("\"What are you looking for?\" asked {a}. \"For my {x.noun},\" said {b}. \"It is {adj}.\"",
           "\"I have lost my {x.noun}. It is {adj},\" said {b}.")
    t.tell("\"Then this is yours,\" said {a}, and gave {x.the} to {b}.", "{a} gave {x.the} to {b}. \"Here it is!\"")
    t.tell("\"You are so kind,\" said {b}. \"Thank you!\"", "{b} stopped crying and smiled.", "{b} was so happy that {b.he} jumped up and down.")
    t.maybe(0.6, "Then {b} shared {b.his} [cake|apple|cookies|bread] with {a}.", "\"Come and play with me,\" said {b}.")
    because(t, "it feels good to be honest")
    finish(t)


PLOTS = [lost_thing, stuck_thing, broken_thing, trade_chain, gift, found_thing]
