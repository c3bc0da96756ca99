"""Stories about making and doing: planting, cooking, building, learning, playing, going to bed."""

from data import words
from data.cast import animal, because, family, finish, friend, grownup, hero, one_day, place, set_out, thing
from data.teller import Teller


def seed(t: Teller) -> None:
    one, many = t.pick(words.PLANTS.items())
    t.know(a=hero(t), one=one, many=many, day=one_day(t))
    t.know(b=friend(t), giver=t.pick(["Grandma", "Grandpa", "an old farmer", "the gardener", "a kind bird"]))
    set_out(t)
    t.tell("{day}, {giver} gave {a} a [little|tiny|small] seed.", "{day}, {a} found a [little|tiny] seed [on the road|in an old box|in a pocket].")
    t.tell("\"If you take care of it, it will grow,\" said {giver}.", "\"I wonder what it will be,\" said {a}.", "It was as small as a [button|pea|pin].")
    t.tell("{a} dug a hole and put the seed into the ground.", "{a} put the seed into a pot with [soft|black] earth.", "{a} planted it behind the house.")
    t.tell("Every morning, {a.he} gave it water.", "{a.he} gave it water on Monday, on Tuesday and on every other day.", "The rain gave it water, and the sun kept it warm.")
    t.tell("The first week, nothing happened.", "But nothing came up. {a} waited and waited.", "\"Grow, little seed,\" {a.he} [sang|whispered].")
    t.maybe(0.5, "\"It will never grow,\" said {b.full}. But {a} did not give up.", "\"You have to wait,\" said {b.full}. \"Good things need time.\"",
            "{a} wanted to dig it up and look. But {b.full} said, \"Let it sleep.\"")
    t.tell("Then, one morning, there was a [tiny|small] green leaf!", "After two weeks, something green looked out of the ground.")
    t.tell("It grew and grew, [day after day|bigger and bigger|higher and higher].", "Soon it was as tall as {a}.", "Then there were two leaves, then four, then more.")
    t.tell("In the summer, it was full of {many}.", "And then {a} saw the first {one}.", "At last, there was a big, beautiful {one}.")
    t.tell("{a} gave the first {one} to {b.full}.", "{a} called {b.full}. \"Look what I have grown!\"", "\"You did that all by yourself,\" said {b.full}.")
    because(t, "good things take time")
    finish(t)


def turnip(t: Teller) -> None:
    what = t.pick(["turnip", "carrot", "pumpkin", "potato", "mushroom", "radish"])
    t.know(a=grownup(t) if t.chance.random() < 0.5 else hero(t), what=what)
    set_out(t)
    t.tell("{a} planted a {what}, and it grew very, very big.", "In {a}'s garden there was a {what}. It was the biggest {what} of all.")
    t.tell("One day {a} wanted to pull it out.", "\"I want to make soup,\" said {a}, and went into the garden.")
    t.tell("{a} pulled and pulled, but the {what} did not move.", "{a.he} pulled with both hands. It did not come out.")
    last = "a"
    helpers = []
    for key in "bcde"[: t.pick([2, 3, 3, 4])]:
        t.fields[key] = animal(t)
        helpers.append(key)
        t.know(h=t.fields[key], l=t.fields[last])
        t.tell("So {l} called {h.met}. \"Come and help!\"", "Then {h.met} came to help.", "\"We need help,\" said {l}, and called {h.met}.")
        chain = ", ".join(f"{{{helpers[i]}}} pulled {{{(['a'] + helpers)[i]}}}" for i in reversed(range(len(helpers))))
        if key == helpers[0] or t.chance.random() < 0.6:
            t.tell(f"{chain}, and {{a}} pulled the {{what}}. They pulled and pulled, but it did not move.")
        else:
            t.tell("They all pulled together, but it did not come out.", "They pulled and pulled. It moved a little, but it did not come out.")
        last = key
    t.know(z=animal(t, "small"), l=t.fields[last])
    t.tell("At last came {z.met}, who was very small.", "Then {z.met} came. \"I will help too,\" said {z}.")
    t.maybe(0.6, "They all laughed. \"You are too small,\" they said.", "\"But you are so little,\" said {l}.")
    t.tell("They pulled once more, all together, and pop! Out came the {what}.", "{z} pulled too, and out came the {what}! They all fell down on the grass.")
    t.tell("That evening, they all ate {what} [soup|pie|cake] together.", "There was enough for everybody, and {z} got the biggest bowl.")
    because(t, "even a little help can be a big help")
    t.maybe(0.5, "And it was very good.", "And they laughed about it for a long time.", "What a good day that was!")


def cooking(t: Teller) -> None:
    dish = t.pick(["a cake", "a pie", "pancakes", "bread", "cookies", "some soup", "carrot soup", "an apple pie", "pumpkin soup"])
    t.know(a=hero(t), dish=dish, day=one_day(t), it="them" if dish in ("pancakes", "cookies") else "it")
    t.know(b=friend(t), c=animal(t), m=t.pick(words.INGREDIENTS))
    set_out(t)
    t.tell("{day}, {a} wanted to make {dish}.", "{day}, {a} said, \"Today I will make {dish}.\"", "{b.full} was ill, so {a} wanted to make {dish} for {b.him}.")
    t.tell("{a.he} took a big [bowl|pot] and a spoon.", "First {a.he} washed {a.his} hands.", "{a.he} put on a [white|blue|red] apron and began.")
    t.tell("But something was missing. {a.he} needed {m}.", "Then {a.he} stopped. Something was missing. {a.he} needed {m}.")
    t.tell("\"I need {m},\" said {a}. \"Where can I get that?\"", "So {a} went next door to {c.full}. \"Can you give me {m}?\"")
    t.tell("{c.full} opened the door. \"Of course,\" said {c}. \"Can I help you?\"", "{c.full} had {m} and came along to help.")
    t.tell("They stirred and stirred.", "{a} stirred, and {c} sang a song.", "{c} put in a little bit of honey.", "Soon there was flour on the floor, on the table and on {a}'s nose.")
    t.tell("Then they had to wait.", "It smelled so good that everybody came to the window.", "\"Is it ready?\" asked {c}. \"Not yet,\" said {a}.")
    t.maybe(0.4, "The first one was too dark. \"Let us try again,\" said {a}.", "A little bit fell on the floor, and an ant carried it away.")
    t.tell("At last, {a} took {it} from the stove. \"It is ready!\"", "When everything was done, they called {b.full}.", "They put {it} on the table, and {b.full} came too.")
    t.tell("{a}, {b} and {c} ate until they were full.", "\"This is the best that I have ever had,\" said {b}.", "{b} ate three plates. \"Now I feel much better,\" {b.he} said.")
    because(t, "it is more fun to cook together")
    finish(t)


def building(t: Teller) -> None:
    what, where = t.pick([("a tower of blocks", "school"), ("a sandcastle", "beach"), ("a snowman", "yard"), ("a little house of sticks", "forest"),
                          ("a boat of wood", "river"), ("a tree house", "garden"), ("a bridge of stones", "river"), ("a tent", "garden")])
    t.know(a=hero(t), what=what, p=place(t, [where]), day=one_day(t), short=what.split(" of ")[0].split(" ", 1)[1])
    t.know(b=friend(t), ruin=t.pick(["A big wave came and", "The wind came and", "A dog ran by and", "A ball flew through the air and", "The rain came and"]))
    set_out(t)
    t.tell("{day}, {a} and {b.full} were {p.at}. They wanted to build {what}.", "{day}, {a} built {what} {p.at}. {b.full} helped.")
    t.tell("They worked all morning.", "{b} brought what they needed, and {a} put it together.", "It got bigger and bigger.", "It was hard work, but it was fun.")
    t.tell("\"It is almost done,\" said {a}.", "\"It is the best {short} of all,\" said {b}.", "They were very proud of it.")
    t.tell("[Then|But then|Suddenly] it happened. {ruin} broke it all.", "{ruin} [knocked|pushed] everything down.")
    t.tell("\"Oh no!\" cried {b}. \"All our work!\"", "{a} looked at it and wanted to cry.", "{a} kicked the ground. \"I will never build again!\"")
    t.tell("But {b} said, \"Let us build it again. We know how to do it now.\"", "They sat there for a while. Then {a} said, \"We can make a better one.\"",
           "{b} took {a}'s hand. \"Come on. The second one will be even better.\"")
    t.tell("So they began again, and this time they made it [stronger|bigger|wider].", "This time they put big stones around it.", "They worked until evening, and nobody said a word.")
    t.tell("When it was done, it was even more beautiful.", "And look! It was twice as big as before.", "At last it stood there, and it did not fall down.")
    t.maybe(0.5, "They put a little flag on top.", "{a} wrote their names on it: {a} and {b}.", "Many came to look at it.")
    because(t, "you can always try again")
    finish(t)


def learning(t: Teller) -> None:
    t.know(a=hero(t), skill=t.pick(words.SKILLS), day=one_day(t))
    t.know(b=friend(t), m=family(t))
    t.know(did=words.SKILLS[t.fields["skill"]])
    set_out(t)
    t.tell("{a} wanted to [learn|know] how to {skill}.", "All of {a}'s friends could {skill}. Only {a} could not.", "{b.full} could {skill} very well. {a} could not do it at all.")
    t.tell("{day}, {a.he} tried for the first time. It did not work.", "The first time, {a.he} fell down.", "{day}, {a.he} tried and tried, but it was too hard.")
    t.tell("\"I will never learn it,\" said {a}.", "{a} sat down and put {a.his} head in {a.his} hands.", "{a}'s [knees|hands|arms] hurt, and {a.he} was sad.")
    t.tell("\"I could not do it at first,\" said {b.full}. \"I tried a hundred times.\"", "\"Nobody can do it on the first day,\" said {m}.", "{b.full} came over. \"I will show you,\" said {b}.")
    t.tell("{b} showed {a} how to do it, [slowly|step by step|again and again].", "\"Do not look down,\" said {b}. \"And do not be afraid.\"", "So {a} tried again the next day, and the next.")
    t.tell("On [Wednesday|Thursday], it was a little better. On [Friday|Saturday], it was much better.", "Each day, it went a little better.", "{a} fell down and got up again.")
    t.tell("And then, on Sunday, it worked!", "Then, all at once, {a.he} could do it.", "And one morning, it was easy.")
    t.tell("\"Look, {m}! Look at me!\" called {a}.", "\"I can do it! I can {skill}!\" cried {a}.", "{b} clapped {b.his} hands. \"You did it!\"")
    because(t, "you must not give up")
    finish(t)


def hide_and_seek(t: Teller) -> None:
    t.know(a=hero(t))
    t.know(b=friend(t), p=place(t), day=one_day(t))
    t.know(c=friend(t))
    t.know(d=animal(t, "small"))
    spots = t.chance.sample(t.fields["p"].spots, 3)
    t.know(s=spots[0], u=spots[1], v=spots[2])
    t.tell("{day}, {a}, {b}, {c.full} and {d.full} played hide and seek {p.at}.", "{day}, four friends met {p.at}. They were {a}, {b}, {c} and {d.full}. \"Let us play hide and seek,\" said {d}.")
    t.tell("{a} closed {a.his} eyes and counted. \"One, two, three, four, five. Here I come!\"", "\"I will look for you,\" said {a}, and counted to ten.")
    t.tell("First, {a.he} looked {s}. There was {b}! \"I found you,\" said {a}.", "{a} heard a giggle {s}. It was {b}.", "Something moved {s}. \"I see you, {b}!\" called {a}.")
    t.tell("Then {a.he} found {c} {u}.", "{c} was {u}. {a} saw {c.his} [foot|ear|hat] at once.", "{c} had to sneeze. Achoo! {a} found {c.him} {u}.")
    t.tell("But where was {d}? They all looked, but they could not find {d.him}.", "Now only {d} was missing. {a} looked everywhere.", "\"Where is {d}?\" asked {b}. Nobody knew.")
    t.tell("It got late. \"Come out, {d}! You have won!\" called {a}.", "They called and called. It was very quiet.")
    t.tell("Then they heard something {v}. It was {d}. {d.he} had fallen asleep!", "At last {c} looked {v}. There lay {d}, fast asleep.",
           "\"Here I am,\" said a small voice. {d} came out. {d.he} had been {v} all the time.")
    t.tell("They all laughed, and {d} laughed the most.", "\"You are the best at hiding,\" said {a}.", "\"Next time, I will look and you will hide,\" said {d}.")
    finish(t)


def wind_and_hat(t: Teller) -> None:
    t.know(a=hero(t), x=thing(t, ["hat", "scarf", "kite", "balloon", "umbrella", "cap"]))
    t.know(day=t.pick(["One windy day", "On a very windy morning", "One autumn day"]))
    set_out(t)
    t.tell("{day}, {a} went for a walk with {x.a}.", "{day}, {a} went out. {a.he} took {x.a} along.")
    t.tell("Whoosh! The wind took {x.the} and carried it away.", "Then the wind came. It pulled and pulled, and {x.the} flew away.")
    t.tell("\"Stop! Come back!\" cried {a}, and ran after it.", "\"My {x.noun}!\" called {a}. {a.he} ran as fast as {a.he} could.")
    for where in t.chance.sample(["over the fence", "across the bridge", "past the school", "over the river", "through the market", "around the church", "down the hill",
                                  "over the farm", "past the mill"], t.pick([2, 3])):
        t.know(where=where, c=animal(t) if t.chance.random() < 0.6 else grownup(t))
        t.tell("{x.the} flew {where}. [There stood|There was|{a} met] {c.met}.", "It flew {where}. {c.met} saw it.")
        t.tell("\"Have you seen my {x.noun}?\" asked {a}. \"It went that way,\" said {c}.", "{c} jumped to catch it, but {c.he} missed.", "\"I will help you,\" said {c}, and ran along.")
    t.know(b=animal(t), end=t.pick(["on a scarecrow", "in a nest", "on the head of a statue", "in a puddle", "on a goat's horns", "in a tall tree", "on the roof of a barn"]))
    t.tell("At last the wind [got tired|stopped]. {x.the} came down {end}.", "Then the wind let go, and {x.the} landed {end}.")
    t.tell("{b.full} was there too and laughed. \"It looks good there,\" said {b}.", "{b.met} picked it up and gave it to {a}. \"Is this yours?\" {b.he} asked.")
    t.tell("{a} had to laugh. {a.he} held {x.the} very tight on the way home.", "\"What a run!\" said {a}. From then on, {a.he} tied it with a string.",
           "{a} was out of breath, but {a.he} had {x.the} again.")
    finish(t)


def bedtime(t: Teller) -> None:
    t.know(a=hero(t))
    t.know(m=family(t), b=animal(t))
    set_out(t)
    t.tell("It was late, but {a} could not sleep.", "One night, {a} lay in bed and looked at the moon.", "The moon was high, and everybody slept. Only {a} was awake.")
    tries = t.chance.sample(["{a.he} counted sheep. One, two, three, four, five. It did not help.", "{a.he} drank a glass of warm milk. It did not help.",
                             "{a.he} turned to the left, and {a.he} turned to the right.", "{a.he} sang a song, very softly. But now {a.he} was even more awake.",
                             "{a.he} looked out of the window and counted the stars.", "{a.he} asked for water, and then {a.he} asked for one more story.",
                             "{a.he} held {a.his} teddy bear very tight."], t.pick([2, 3]))
    for one in tries:
        t.tell("[First|Then|After that|So] " + one)
    t.tell("{m} came in. \"Why are you still awake?\" {m.he} asked.", "\"{m}, I cannot sleep,\" called {a}.", "{m} heard {a.him} and opened the door.")
    t.tell("\"I am thinking about tomorrow,\" said {a}.", "\"It is too dark,\" said {a}.", "\"It is too quiet,\" said {a}.", "\"I miss {b},\" said {a}. \"We had a fight today.\"")
    t.tell("{m} sat on the bed and told a story about [a star|the moon|a little boat|a sleepy bear|a cloud].", "{m} sang an old song about [the sea|the moon|a little bird].",
           "\"Close your eyes,\" said {m}. \"Think of the best thing of today.\"")
    t.tell("{a}'s eyes got smaller and smaller.", "{a} yawned once, and then again.", "Slowly, {a} closed {a.his} eyes.")
    t.tell("When {m} wanted to say good night, {a} was already asleep.", "\"Good night, {a},\" whispered {m}. But {a} did not hear it any more.", "And soon {a} dreamed of [the sea|a big cake|{b}|flying over the hills].")


def rainy_day(t: Teller) -> None:
    t.know(a=hero(t))
    t.know(b=friend(t), p=place(t, ["park", "beach", "lake", "playground", "meadow", "hill"]), game=t.pick(["a boat", "a castle", "a train", "a cave", "a ship", "a shop"]))
    set_out(t)
    t.tell("{a} and {b.full} wanted to go {p.to}.", "Today was the day. {a} and {b.full} were going {p.to}.")
    t.tell("But when they opened the door, it rained.", "But then dark clouds came, and it rained and rained.", "Drip, drop, drip, drop. It began to rain.")
    t.tell("\"Now our day is gone,\" said {a}.", "{a} looked out of the window with a sad face.", "\"I do not like rain,\" said {b}.")
    t.tell("\"We can play inside,\" said {b}. \"Let us make {game} out of [chairs|boxes|blankets].\"", "Then {b} saw a big box. \"This can be {game}!\" said {b}.",
           "\"I have an idea,\" said {a}. \"The table is {game}!\"")
    t.tell("They took two chairs and a blanket and all the pillows.", "{a} was the captain, and {b} was the cook.", "They sang and shouted, and they forgot all about the rain.")
    t.maybe(0.5, "They had cookies and milk for lunch, and they ate under the table.", "{b} told a story about a giant, and {a} laughed.")
    t.tell("Then the sun came out. There was a rainbow over the houses.", "In the afternoon, the rain stopped. There were puddles everywhere.")
    t.tell("They put on their boots and jumped into every puddle. Splash!", "\"Look, a rainbow!\" said {a}. They counted the colors. There were seven.", "\"Do you want to go out now?\" asked {b}. \"No,\" said {a}. \"We are not done yet.\"")
    because(t, "a rainy day can be a good day too")
    finish(t)


PLOTS = [seed, turnip, cooking, building, learning, hide_and_seek, wind_and_hat, bedtime, rainy_day]
