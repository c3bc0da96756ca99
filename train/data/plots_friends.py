"""Stories about others: sharing, helping, being afraid, being lost, being sorry."""

from data import words
from data.cast import animal, because, family, finish, friend, grownup, hero, meet, one_day, place, set_out, thing
from data.teller import Teller


def sharing(t: Teller) -> None:
    t.know(a=hero(t), day=one_day(t))
    food = t.pick(words.BAKED + ["apple", "pear", "banana", "bowl of soup", "bowl of berries", "jar of honey", "carrot"])
    t.know(b=friend(t), p=place(t), food=food, big=t.pick(["big", "sweet", "warm", "fresh", "nice"]))
    set_out(t)
    t.tell("{day}, {a} had a {big} {food}.", "{day}, {a} sat {p.at} with a {big} {food}.", "{day}, {a} got a {big} {food} from [Grandma|Mom].")
    t.tell("\"This is all for me,\" said {a}.", "{a} was hungry and wanted to eat it at once.", "It smelled so good!")
    meet(t)
    t.tell("\"I am so hungry,\" said {b}.", "{b}'s tummy made a loud noise.", "\"Can I have a little bit?\" asked {b}.",
           "\"I have not eaten all day,\" {b} said softly.")
    if t.chance.random() < 0.5:
        t.tell("\"No,\" said {a}. \"It is mine.\" {b} went away with a sad face.", "{a} turned around and ate alone. {b} was sad.")
        t.tell("But the {food} did not taste good any more.", "But {a} did not feel good.", "{a} looked at the {food}. {a.he} was not happy.")
        t.tell("So {a.he} ran after {b}. \"Wait!\" {a.he} called. \"I am sorry. Half of it is for you.\"",
               "{a} got up and looked for {b}. \"Come back,\" {a.he} said. \"We can share.\"")
    else:
        t.tell("{a} looked at the {food}, and then at {b}.", "{a} thought about it.", "There was not much. But {a} smiled.")
        t.tell("\"Here, half of it is for you,\" said {a}.", "{a} cut it in two and gave the bigger half to {b}.", "\"Sit down. Let us eat together,\" said {a}.")
    t.tell("They sat down and ate together.", "It tasted much better with a friend.", "\"Mmm, this is good,\" said {b}.")
    if t.chance.random() < 0.6:
        t.know(more=t.pick(["some nuts", "a basket of berries", "two apples", "a bag of cookies", "a big bunch of flowers"]))
        t.tell("The next day, {b} came back with {more}. \"This is for you,\" {b.he} said.", "A week later, {a} was hungry. {b} came "
               "and brought {more}.")
    because(t, "food tastes better when you share it")
    finish(t)


def small_helper(t: Teller) -> None:
    big = animal(t, "strong")
    t.know(a=big, day=one_day(t))
    t.know(b=animal(t, "small"), p=place(t, ["forest", "meadow", "river", "hill"]))
    set_out(t)
    t.tell("{day}, {a} caught {b.met}.", "{day}, {a} almost stepped on {b.met}.", "{day}, {b.met} ran over {a}'s foot.")
    t.tell("\"Please let me go,\" said {b}. \"One day I will help you.\"", "\"Do not hurt me,\" cried {b}. \"Maybe I can help you some day.\"")
    t.tell("{a} laughed. \"You are so small! How can you help me?\" But {a.he} let {b} go.", "\"You? You are too small,\" said {a} with "
           "a laugh. But {a.he} was kind and let {b} go.")
    t.tell("[Some days later|A week later|Not long after that], {a} got stuck in a net.", "Then winter came. {a} fell into a deep hole {p.at}, "
           "and a thick rope was around {a.his} leg.", "One night, {a} stepped into a trap. {a.he} pulled and pulled, but it did not open.")
    t.tell("{a.he} called for help, but nobody came.", "{a} cried so loud that all the birds flew up.", "\"Help! Help!\" called {a}.")
    t.tell("{b} heard it and ran as fast as {b.he} could.", "But {b} heard the cry and came at once.")
    t.tell("{b.he} bit the rope with {b.his} little teeth until it broke.", "{b} was small enough to get inside and open it.",
           "All night long {b} worked, until {a} was free.")
    t.tell("\"You were right,\" said {a}. \"You are small, but you helped me.\"", "\"Thank you, little friend,\" said {a}.")
    because(t, "small friends can be a big help")
    finish(t)


def afraid(t: Teller) -> None:
    t.know(a=hero(t))
    t.know(b=animal(t, "small"), m=family(t))
    what = t.pick([("the dark", "a scratching sound"), ("thunder", "a knocking sound"), ("ghosts", "a strange sound"), ("the night", "a soft sound")])
    t.know(fear=what[0], sound=what[1])
    set_out(t)
    t.tell("{a} was afraid of {fear}.", "There was only one thing that {a} did not like, and that was {fear}.")
    t.tell("One night, {a} lay in bed and heard {sound}.", "It was late, and the house was quiet. Then there was {sound}.",
           "One stormy night, {a} woke up. What was that? It was {sound}.")
    t.tell("{a} pulled the blanket over {a.his} head.", "{a}'s heart beat fast.", "\"Who is there?\" whispered {a}. Nobody answered.")
    if t.chance.random() < 0.5:
        t.tell("{a} called {m}. {m} came with a [lamp|candle].", "\"{m}! {m}!\" called {a}. {m} came and sat on the bed.")
        t.tell("\"Let us look together,\" said {m}. {a} took {m}'s hand.", "\"I am here,\" said {m}. \"We will see what it is.\"")
    else:
        t.tell("But then {a} thought, \"I can be brave.\"", "{a} took a deep breath and got up.")
        t.tell("{a.he} took a lamp and went to the door, one step and then one more.", "Very slowly, {a.he} opened the door.")
    t.maybe(0.7, "There it was again. It came from the [window|kitchen|cupboard].", "The sound came from behind the [curtain|box|door].",
           "[Tap, tap, tap|Scratch, scratch|Bump, bump]! There it was again.")
    t.tell("And what was it? Only {b.intro_small}!", "There sat {b.intro_small}, all wet and cold.", "It was {b.intro_small}, and {b.he} was even more afraid.")
    t.tell("\"Oh! It is only you,\" said {a}.", "{a} had to laugh.", "\"You do not need to be afraid,\" said {a} to {b}.")
    t.tell("{a} gave {b} some [bread|milk|cheese] and a warm place to sleep.", "{b} was hungry, so {a} brought {b.him} something to eat.")
    t.tell("From then on, {a} was not so afraid of {fear} any more.", "After that, {a} went back to bed and slept well.")
    because(t, "many scary things are small when you look at them")
    finish(t)


def new_friend(t: Teller) -> None:
    t.know(a=hero(t))
    t.know(b=friend(t), p=place(t, ["school", "park", "playground", "meadow", "pond", "forest", "beach", "farm"]), game=t.pick(words.GAMES), day=one_day(t))
    set_out(t)
    lonely = t.chance.random() < 0.5
    if lonely:
        t.tell("But {a} had no friends. {a.he} was often alone.", "{a} had just moved to a new home and did not know anybody.")
        t.tell("{day}, {a} saw {b.met} {p.at}.", "{day}, {a} went {p.to}. There was {b.met}.")
        t.tell("{a} wanted to say hello, but {a.he} was too shy.", "\"Maybe {b.he} will not like me,\" thought {a}.")
        t.tell("Then {b} dropped {b.his} [apple|book|ball|hat]. {a} picked it up. \"Here you are,\" {a.he} said.",
               "Then {b} looked up and smiled. \"Hello,\" said {b}. \"Do you want to play?\"", "But {a} took one step, and then one more. \"Hello. I am {a},\" {a.he} said.")
    else:
        t.tell("{day}, {a} saw somebody new {p.at}. It was {b.met}.", "{day}, {b.met} came {p.to} for the first time.")
        t.tell("{b} stood all alone and looked at {b.his} feet.", "Nobody talked to {b}.", "{b} did not say a word.")
        t.tell("{a} went over. \"Hello, I am {a}. What is your name?\" \"My name is {b},\" said {b}.", "\"Do you want to play with me?\" asked {a}.")
    t.tell("They played {game} together.", "\"Let us play {game},\" said {b}, and so they did.", "Soon they were running and laughing.")
    t.maybe(0.6, "{b} knew a funny song, and {a} knew a good joke.", "{a} showed {b} {a.his} secret place.", "They found out that they both liked [cake|rain|frogs|music|stories].")
    t.tell("When the sun went down, {b} asked, \"Will you come again tomorrow?\" \"Yes,\" said {a}.", "\"See you tomorrow!\" called {b}.",
           "\"I am glad that I met you,\" said {b}.")
    because(t, "a friend can begin with one hello")
    finish(t)


def race(t: Teller) -> None:
    t.know(a=animal(t, "fast"), b=animal(t, without="fast"), p=place(t, ["forest", "meadow", "hill", "river", "lake", "farm"]))
    t.know(c=animal(t), goal=t.pick(["the old oak", "the bridge", "the big rock", "the well", "the white fence"]))
    set_out(t)
    t.tell("{a} could run very fast, and {a.he} told everybody about it.", "\"I am the fastest of all,\" {a} said every day.")
    t.tell("\"You are so slow,\" {a} said to {b.full}, and laughed.", "{b.full} was slow. {a} often laughed at {b.him}.")
    t.tell("\"Let us have a race to {goal},\" said {b}.", "One day, {b} said, \"I will race you to {goal}.\"")
    t.tell("All the animals came to see it. {c.full} called, \"One, two, three, go!\"", "\"Ready? Go!\" called {c.full}.")
    t.tell("{a} ran off like the wind. {b} went slowly, step by step.", "Soon {a} was far in front. {b} did not stop.")
    t.tell("\"I have so much time,\" thought {a}, and lay down under a tree. Soon {a.he} was asleep.", "On the way, {a} saw some berries. "
           "{a.he} stopped and ate, and ate some more.", "{a} stopped to look at {a.his} face in the water for a long, long time.")
    t.tell("{b} went on and on.", "Step by step, {b} came closer, and went by.", "{b} was tired, but {b.he} did not give up.")
    t.tell("When {a} looked up, {b} was already at {goal}!", "{a} jumped up and ran, but it was too late. {b} had won.")
    t.tell("Everybody cheered for {b}.", "\"Well done, {b}!\" called {c}.", "\"How did you do that?\" asked {a}. \"I just did not stop,\" said {b}.")
    t.tell("{a} gave {b} {a.his} hand. \"You were better today,\" {a.he} said.", "\"I am sorry that I laughed at you,\" said {a}.")
    because(t, "slow and steady can win the race")
    finish(t)


def lost_child(t: Teller) -> None:
    t.know(a=hero(t))
    t.know(m=family(t), p=place(t, ["market", "forest", "beach", "town", "park", "farm"]), day=one_day(t))
    t.know(b=grownup(t) if t.chance.random() < 0.4 else animal(t), lure=t.pick(["a butterfly", "a funny dog", "a red balloon",
           "a man with a drum", "a white rabbit", "some ducks", "a little cart"]))
    set_out(t)
    t.tell("{day}, {a} and {m} went {p.to}.", "{day}, {m} took {a} {p.to}.")
    t.tell("\"Stay close to me,\" said {m}.", "There was so much to see.")
    t.tell("Then {a} saw {lure} and ran after it.", "But {a} followed {lure}.", "{a} stopped to look at {lure}.")
    t.tell("When {a.he} looked around, {m} was gone.", "After a while, {a} did not know where {a.he} was.")
    t.tell("\"{m}! {m}!\" called {a}. But nobody answered.", "{a} sat down on a stone and cried.", "{a} ran this way and that way. Everything looked the same.")
    t.tell("Then {b.met} stopped. \"Are you lost?\" asked {b}.", "{b.met} heard {a.him}. \"Why are you crying?\" {b.he} asked.")
    t.tell("\"I cannot find {m},\" said {a}.", "\"I am lost,\" {a} said in a small voice.")
    t.tell("\"What does {m} look like?\" asked {b}. \"{m} has a [red|green|blue|yellow] [hat|coat|scarf],\" said {a}.",
           "\"Do not be afraid,\" said {b}. \"I know the way.\"", "\"Take my hand,\" said {b}. \"We will look together.\"")
    t.tell("They went [down the road|over a bridge|around the corner|past the well], and there was {m}!", "Soon they heard a voice. \"{a}! Where are you?\" It was {m}.")
    t.tell("{a} ran into {m}'s arms.", "{m} hugged {a} and did not want to let go.", "\"I was so worried,\" said {m}.")
    t.tell("\"Thank you for your help,\" {m} said to {b}.", "{b} smiled and waved goodbye.")
    because(t, "it is good to stay close together")
    finish(t, together=False)


def quarrel(t: Teller) -> None:
    t.know(a=hero(t))
    t.know(b=friend(t), x=thing(t, words.TOYS), day=one_day(t), p=place(t))
    set_out(t)
    t.tell("{a} and {b.full} were good friends.", "{a}'s best friend was {b.full}.")
    t.tell("{day}, they both wanted to play with {x.a}.", "{day}, they found {x.a} {p.at}, and both wanted it.")
    t.tell("\"It is mine!\" shouted {a}. \"No, it is mine!\" shouted {b}.", "{a} pulled on one side, and {b} pulled on the other.", "\"I had it first,\" said {b}. \"No, I did,\" said {a}.")
    t.tell("Then {x.the} fell into the mud.", "Crack! {x.the} broke in two.", "Both of them fell down on the ground.")
    t.tell("\"That is your fault!\" said {a}. {b} went home without a word.", "Now they were angry. They did not talk to each other all day.")
    t.tell("But alone, it was no fun.", "{a} sat at home. It was very quiet.", "{a} missed {b}.")
    t.tell("{a} went to {b}'s house and knocked. At the same time, {b} opened the door.", "The next morning, {a} met {b} on the road. {b} was on the way to {a}.")
    t.tell("\"I am sorry,\" they both said at the same time. Then they laughed.", "\"I am sorry,\" said {a}. \"I am sorry too,\" said {b}.")
    t.tell("They cleaned {x.the} together and took turns.", "\"First you, then me,\" said {a}. And that is what they did.")
    because(t, "a friend is worth more than a toy")
    finish(t)


PLOTS = [sharing, small_helper, afraid, new_friend, race, lost_child, quarrel]
