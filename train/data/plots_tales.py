"""Longer tales: riddles, wishes, tricks and small adventures."""

from data import words
from data.cast import animal, because, family, finish, friend, grownup, hero, one_day, place, set_out, thing
from data.teller import Teller


def who_ate_it(t: Teller) -> None:
    t.know(a=hero(t), food=t.pick(["pie", "cake", "plum cake", "apple pie", "pudding", "bowl of berries"]), m=family(t), day=one_day(t))
    t.know(b=animal(t), c=animal(t), d=animal(t))
    guilty = t.pick("bcd")
    t.know(z=t.fields[guilty], clue=t.pick(["a crumb", "a little bit of cream", "a small red spot", "some sugar", "a bit of jam"]))
    set_out(t)
    t.tell("{day}, {m} made a {food} and put it by the window.", "{day}, there was a {food} on the table. It was for {a}'s birthday.")
    t.tell("But at noon, the plate was empty!", "An hour later, the {food} was gone.", "When {a} came home, only the plate was there.")
    t.tell("\"Who ate the {food}?\" asked {m}.", "\"I will find out who it was,\" said {a}.", "{a} looked at the floor, at the table and at the window. Then {a.he} went out.")
    answers = ["\"I was [asleep|at the pond|in the garden] all morning,\" said {h}.", "\"Not me! I do not like sweet things,\" said {h}.", "\"I was with my mother,\" said {h}.",
               "\"I have not been here today,\" said {h}."]
    t.chance.shuffle(answers)
    for key, answer in zip("bcd", answers):
        t.know(h=t.fields[key])
        t.tell("[First|Then|After that|Next] {a} asked {h.full}. " + answer, "\"Was it you?\" {a} asked {h.full}. " + answer)
        if key == guilty:
            t.tell("But {a} saw {clue} on {h}'s [nose|face|foot].", "{h} looked at the ground. There was {clue} on {h.his} face.")
        else:
            t.maybe(0.4, "{h}'s [feet|hands|face] were clean.", "{a} believed {h.him}.")
    t.tell("\"It was you, {z}!\" said {a}. \"I can see it on your face.\"", "{a} thought about it. Then {a.he} knew. \"It was {z}!\"")
    t.tell("{z} got very red. \"I am sorry,\" {z.he} said. \"It smelled so good.\"", "\"Yes, it was me,\" said {z}, and began to cry. \"I was so hungry.\"")
    t.tell("\"Next time, just ask,\" said {a}.", "\"Then you must help us to make a new one,\" said {m}.", "{z} helped them to make a new {food}, and they all ate it together.")
    t.know(b=t.fields[guilty])
    finish(t)


def shopping_list(t: Teller) -> None:
    t.know(a=hero(t))
    t.know(m=family(t), p=place(t, ["market", "town"]))
    goods = t.chance.sample(["milk", "bread", "eggs", "honey", "apples", "cheese", "butter", "nuts", "fish", "salt", "tea", "carrots", "soap", "rice"], 3)
    t.know(one=goods[0], two=goods[1], three=goods[2])
    t.know(b=friend(t), lost=t.pick(goods))
    set_out(t)
    t.tell("{m} said, \"Please go {p.to} and get {one}, {two} and {three}.\"", "\"We need {one}, {two} and {three},\" said {m}. \"Can you get them {p.at}?\"")
    t.tell("\"{one}, {two} and {three},\" said {a}, and went off with a basket.", "All the way, {a} said again and again: \"{one}, {two} and {three}.\"")
    t.tell("On the way, {a} met {b.full}. They talked about [a new game|the weather|a funny dog|a bird with a red tail].", "Then {b.full} came by with a ball. They played for a while.")
    rest = [good for good in goods if good != t.fields["lost"]]
    t.know(r=rest[0], s=rest[1])
    t.tell("{p.at}, {a} got {r} and {s}. But what was the third thing?", "\"I need {r} and {s},\" said {a}. \"And one more thing.\" But {a.he} had forgotten it.")
    t.tell("{a} thought and thought.", "\"Was it [cake|a hat|a fish bone]? No.\"", "{a.he} closed {a.his} eyes and counted on {a.his} fingers.")
    hints = {"milk": "white, and a cat likes it", "bread": "brown, and one eats it with butter", "eggs": "round, and a hen makes them", "honey": "sweet, and bees make it",
             "apples": "red, and they grow on a tree", "cheese": "yellow, and a mouse likes it", "butter": "yellow and soft", "nuts": "hard, and a squirrel likes them",
             "fish": "wet, and it can swim", "salt": "white, and one puts it into soup", "tea": "warm, and Grandma drinks it", "carrots": "orange, and a rabbit likes them",
             "soap": "something to wash one's hands with", "rice": "white and very small"}
    t.know(hint=hints[t.fields["lost"]])
    t.tell("\"It was {hint},\" {a} said. \"Then it is {lost}!\" said {b}.", "\"I know that it was {hint},\" said {a}. {b} laughed. \"That is {lost},\" {b.he} said.")
    t.tell("So {a} came home with {one}, {two} and {three}.", "At home, {m} looked into the basket. There were {one}, {two} and {three}. \"Well done,\" said {m}.")
    finish(t)


def wish(t: Teller) -> None:
    t.know(a=hero(t), x=thing(t, ["lamp", "ring", "stone", "shell", "bell", "feather", "box", "bottle"]), p=place(t), day=one_day(t))
    t.know(b=friend(t))
    set_out(t)
    t.tell("{day}, {a} found {x.a} {p.at}.", "{day}, {a} saw something shine {p.at}. It was {x.a}.")
    t.tell("\"I am a magic {x.noun},\" said a small voice. \"You have one wish.\"", "When {a} touched it, it began to talk. \"Make a wish,\" it said.")
    wishes = [("to be as tall as a tree", "But now {a} could not go into the house, and nobody could hear what {a.he} said."),
              ("to have a mountain of cake", "{a} ate and ate, until {a.his} tummy hurt."), ("that it were always summer", "But the flowers were thirsty, and there was no snow to play in."),
              ("to fly", "Up {a.he} went, high over the houses. But {a.he} did not know how to come down."), ("that everything were made of gold", "But one cannot eat a golden apple or sleep in a golden bed."),
              ("to be invisible", "But now nobody played with {a.him}, for nobody could see {a.him}."), ("that nobody had to sleep", "But soon they were all so tired that nobody could laugh."),
              ("to be the king of everything", "But a king has to work all day, and nobody wanted to play with {a.him}.")]
    what, trouble = t.pick(wishes)
    t.tell(f"{{a}} wished {what}.", f"\"I wish {what.removeprefix('that ')},\" said {{a}}. And so it was.")
    t.tell("At first, it was wonderful.", "\"This is fun!\" cried {a}.", "{a} was very happy for an hour.")
    t.tell(trouble)
    t.tell("\"What have I done?\" said {a}.", "{a} sat down and cried. {b.full} came by and asked what was wrong.", "\"I do not want this any more,\" said {a}.")
    t.tell("\"Can I give the wish back?\" {a} asked the {x.noun}. \"Yes,\" it said. \"But only once.\"", "{a} ran to the {x.noun}. \"Please make it as it was!\"")
    t.tell("And everything was as before.", "There was a flash of light, and all was well again.", "{a} closed {a.his} eyes. When {a.he} opened them, it was over.")
    t.tell("{a} put the {x.noun} back where it came from.", "\"I have all that I need,\" said {a}, and went to play with {b}.")
    because(t, "what you have is often enough")
    finish(t)


def false_alarm(t: Teller) -> None:
    danger = t.pick(["wolf", "lion", "dragon", "giant"])
    t.know(a=hero(t), danger=danger, p=place(t, ["hill", "meadow", "farm", "forest"]), b=grownup(t))
    flock = t.pick(["sheep", "goats", "cows", "geese"])
    t.know(flock=flock)
    set_out(t)
    t.tell("Every day, {a} had to watch the {flock} {p.at}.", "{a}'s work was to look after the {flock}.")
    t.tell("It was boring. \"I will play a trick,\" thought {a}.", "Nothing ever happened there. So {a} had an idea.")
    t.tell("\"Help! A {danger}!\" {a.he} cried. Everybody came running. But there was no {danger}. {a} laughed.", "{a} shouted, \"The {danger} is here!\" {b} and all the others ran up to help. {a} just laughed.")
    t.tell("The next day, {a} did it again. They came again, and again there was no {danger}.", "Two days later, {a} played the same trick. \"This is not funny,\" said {b}.")
    t.tell("Then, one evening, there really was a {danger}!", "But on the third day, a real {danger} came out of the trees.")
    t.tell("\"Help! Help! The {danger}!\" cried {a}. But nobody came.", "{a} called as loud as {a.he} could. \"It is only a trick again,\" they said in the town.")
    t.tell("The {flock} ran away in all directions, and {a} hid in a tree.", "{a} had to run, and the {flock} ran too.")
    t.tell("All night long, {a} looked for the {flock}. In the morning, {b} came and helped {a.him}.", "When {b} found {a}, {a.he} was cold and sad. \"Where are the {flock}?\" asked {b}.")
    t.tell("\"I am sorry. I will never do that again,\" said {a}.", "\"If you always tell the truth, we will always come,\" said {b}.")
    because(t, "nobody believes a liar")
    finish(t, together=False)


def flattery(t: Teller) -> None:
    t.know(a=animal(t, "fly"), b=animal(t, "fast"), food=t.pick(["a piece of cheese", "a red berry", "a cookie", "a big nut", "a piece of bread"]), tree=t.pick(words.TREES))
    set_out(t)
    t.know(short=t.fields["food"].split(" of ")[-1].replace("a ", "").replace("red ", "").replace("big ", ""))
    t.tell("{a} sat in a {tree} with {food} in {a.his} mouth.", "One day {a} found {food} and flew up into a {tree} to eat it.")
    t.tell("{b.met} came by and saw the {short}.", "Down below stood {b.met}. {b.he} was hungry.")
    t.tell("\"How pretty you are!\" said {b}. \"Your feathers shine like the sun.\"", "\"Good morning, {a}. What fine wings you have,\" said {b}.")
    t.tell("{a} liked that very much, but {a.he} said nothing.", "{a} was proud and sat up straight.")
    t.tell("\"Can you sing too?\" asked {b}. \"I am sure that you sing better than all the other birds.\"", "\"If only I could hear you sing!\" said {b}.")
    if t.chance.random() < 0.6:
        t.tell("{a} opened {a.his} mouth to sing, and the {short} fell down.", "So {a} began to sing. Down fell the {short}!")
        t.tell("{b} caught it and ate it up. \"Thank you,\" {b.he} said, and ran away.", "\"That was all that I wanted,\" laughed {b}.")
        t.tell("{a} sat in the tree and was hungry. \"Next time I will think first,\" {a.he} said.")
        because(t, "sweet words are not always true")
        finish(t, together=False)
    else:
        t.tell("But {a} was clever. {a.he} put the {short} under {a.his} foot, and then {a.he} sang.", "{a} thought for a moment. Then {a.he} ate the {short} first, and sang after that.")
        t.tell("{b} looked up for a long time, but nothing fell down. Then {b.he} had to laugh. \"You are too clever for me,\" {b.he} said.")
        t.tell("\"Are you hungry?\" asked {a}. \"Then say so. I know where there are more.\"")
        finish(t)


def treasure(t: Teller) -> None:
    t.know(a=hero(t), x=thing(t, ["map", "letter", "book", "bottle"]))
    t.know(b=friend(t), p=place(t, ["attic", "beach", "library", "barn"]), q=place(t, ["forest", "hill", "garden", "river", "orchard"]))
    t.know(day=one_day(t), n=t.pick(words.NUMBERS[3:10]), way=t.pick(["left", "right"]), mark=t.pick(["a big rock", "an old tree", "a well", "a broken wall", "a white stone"]))
    set_out(t)
    inside = {"map": "It was a map of a treasure!", "letter": "\"Dig where I tell you,\" it said.", "book": "Inside was a map.", "bottle": "Inside was a small map."}
    t.tell("{day}, {a} and {b.full} found {x.a} {p.at}. " + inside[t.fields["x"].noun])
    t.tell("\"We must find it,\" said {b}.", "\"A treasure!\" cried {a}. \"Come on!\"", "They took a shovel, a lamp and two sandwiches, and off they went.")
    t.tell("They had to go {q.to} and look for {mark}.", "First they went {q.to}, as the map said. There was {mark}.")
    t.tell("\"Now {n} steps to the {way},\" said {b}. They counted out loud.", "\"{n} steps to the {way}!\" read {a}.", "From there, it was {n} steps to the {way}.")
    t.tell("{a} began to dig. It was hard work.", "They dug and dug, until {b}'s [hands|arms] hurt.", "First there was only sand. Then they heard something. Clonk!")
    t.maybe(0.5, "\"There is nothing here,\" said {b}. But {a} went on.", "A [mole|worm] looked out of the hole and went away again.", "\"Did we count right?\" asked {a}. They counted once more.")
    t.tell("It was an old box. {a} opened it with both hands.", "There was a box with a rusty lock. {b} hit it with a stone, and it opened.")
    found = t.pick([("a note: The real treasure is the friend who came with you", True), ("seven golden coins", False), ("old toys that somebody had loved long ago", False),
                    ("a crown of paper and a wooden sword", False), ("a hundred marbles in all colors", False), ("a music box that still played its song", False)])
    t.tell(f"In it was {found[0]}." if not found[0].startswith("old") and not found[0].startswith("seven") else f"In it were {found[0]}.")
    t.tell("{a} and {b} looked at each other and laughed.", "\"This is wonderful,\" whispered {b}.", "They sat on the ground and looked at it until it got dark.")
    t.maybe(0.6, "They gave half of it to {a} and half to {b}." if "coins" not in found[0] and not found[1] and "music" not in found[0] and "crown" not in found[0] else "They put it back for others to find.",
            "They ate their sandwiches in the moonlight.")
    finish(t)


def baby_bird(t: Teller) -> None:
    t.know(a=hero(t, without="fly"), tree=t.pick(words.TREES), p=place(t, ["garden", "park", "forest", "orchard", "yard"]), day=one_day(t))
    t.know(b=friend(t), m=family(t))
    set_out(t)
    t.tell("{day}, {a} heard a soft peep {p.at}.", "{day}, {a} walked under a {tree}. Peep, peep! What was that?")
    t.tell("A baby bird lay in the grass. It had fallen out of its nest.", "There sat a very small bird. It had almost no feathers and was afraid.")
    t.tell("\"You poor little thing,\" said {a}.", "{a} looked up. High in the {tree} there was a nest.", "The mother bird flew around and cried.")
    t.tell("\"We must bring it back,\" said {a} to {b.full}.", "{a} ran to get {b.full}. \"I need your help!\"")
    t.tell("{b} got a ladder, and {a} held the little bird in {a.his} hat.", "{b} held the ladder. {a} climbed up with the bird in {a.his} pocket.", "They made a soft bed of grass in a basket and pulled it up with a rope.")
    t.tell("Step by step, {a} went up. {a.he} did not look down.", "It was high, but {a} was careful.", "\"Do not be afraid,\" {a} whispered. Nobody knew if {a.he} said it to the bird.")
    t.tell("Then {a} put the baby bird back into its nest. There were [two|three|four] more!", "At last, the little bird was back with its [brothers|sisters].")
    t.tell("The mother bird came and sang her best song.", "The mother bird looked at {a} for a long time. Then she fed her little ones.")
    t.tell("All summer, the birds sang at {a}'s window.", "Some weeks later, {a} saw a young bird fly. \"I know you,\" {a.he} said.", "\"That was very kind of you,\" said {m}.")
    finish(t)


def letter(t: Teller) -> None:
    t.know(a=hero(t), m=family(t))
    t.know(b=t.fields["m"], c=grownup(t), news=t.pick(["I have lost a tooth", "I can swim now", "we have a new kitten", "I have made a kite", "our apples are ripe", "it has snowed here"]))
    t.know(road=t.pick(["over the hill", "across the sea", "beyond the forest", "in a big city"]))
    set_out(t)
    t.tell("{m} lived far away, {road}.", "{a} missed {m}, who lived {road}.")
    t.tell("So {a} wrote a letter. \"Dear {m}. {news}. When will you come?\"", "{a} took a pencil and wrote: \"Dear {m}. {news}. I miss you.\"")
    t.tell("{a.he} drew a [sun|heart|cat|flower] below it and put it in a [blue|white|yellow] envelope.", "It took a long time, for {a} was not very good at writing.")
    t.tell("The postman put the letter into his bag and rode off on his bike.", "The letter went by train, by boat and by bike.", "{a} ran to the mailbox and put it in.")
    t.tell("Then {a} waited. Monday came, and Tuesday, and Wednesday.", "Every morning, {a} asked, \"Is there a letter for me?\" There was none.", "Two weeks went by.")
    if t.chance.random() < 0.5:
        t.tell("Then a letter came. \"Dear {a}. I will come on Sunday.\"", "At last, the postman had something for {a}. \"I am on my way,\" the letter said.")
        t.tell("On Sunday, {m} stood at the door with a big [bag|basket|smile].", "And on Sunday, there was a knock at the door. It was {m}!")
    else:
        t.tell("On [Friday|Saturday], there was a knock at the door. But it was not the postman. It was {m}!", "Then, one evening, somebody called {a}'s name. It was {m}, with a bag in each hand.")
        t.tell("\"Your letter made me so happy that I had to come,\" said {m}.", "\"I got your letter,\" said {m}. \"And here I am.\"")
    t.tell("{a} ran into {m}'s arms.", "They talked until late at night.", "{a} did not let go of {m}'s hand all day.")
    t.tell("It was better than any letter.", "And the letter? {m} kept it for ever.", "That night, {m} told {a} a story.", "\"You must write to me again,\" said {m}. And {a} did.")


def moon(t: Teller) -> None:
    t.know(a=hero(t))
    t.know(b=friend(t), c=animal(t, "fly"), p=place(t, ["hill", "lake", "pond", "river"]))
    set_out(t)
    t.tell("Every night, {a} looked at the moon. \"I want to touch it,\" {a.he} said.", "More than anything, {a} wanted to have the moon.")
    t.tell("{a.he} climbed up on the roof, but the moon was still far away.", "First {a.he} stood on a chair, and then on a table. It was not enough.", "\"Maybe from the hill,\" thought {a}. But from the hill, it was just as far.")
    t.tell("\"Can you get it for me?\" {a} asked {c.full}. {c} flew up high and came back. \"It is too far, even for me,\" said {c}.", "{c.full} tried to fly there. After an hour, {c.he} came back and was very tired.")
    t.tell("{a} was sad. Then {b.full} came with a bucket of water.", "\"Come with me,\" said {b.full}. They went {p.to}.", "{b.full} thought about it. Then {b.he} smiled and got a big bowl of water.")
    t.tell("\"Look into the water,\" said {b}. And there was the moon, round and bright!", "There it was! The moon lay in the water, as close as could be.")
    t.tell("{a} put one finger in. The moon danced and laughed, and then it was still again.", "{a} touched it. It was wet and cold, and it made {a.him} laugh.")
    t.tell("\"Now I have touched the moon,\" said {a}.", "\"You can visit it each night,\" said {b}.", "\"It is better that it stays in the sky,\" said {a}. \"There, everybody can see it.\"")
    finish(t)


def concert(t: Teller) -> None:
    what = t.pick(["sing a song", "play the flute", "dance", "tell a joke", "read a poem", "play the drum", "do a trick with three balls"])
    t.know(a=hero(t), what=what, day=t.pick(words.DAYS))
    t.know(b=friend(t), m=family(t))
    set_out(t)
    t.tell("On {day} there was a big show. {a} was going to {what}.", "\"On {day}, you will {what} for us all,\" said the teacher.")
    t.tell("{a} practiced every day.", "At home, {a} could do it very well.", "In the morning, at noon and in the evening, {a} practiced.")
    t.tell("But on {day}, {a}'s knees shook.", "But when {a} saw all the people, {a.he} wanted to run away.", "\"What if I do it all wrong?\" asked {a}.")
    t.tell("\"I will sit in the first row,\" said {b.full}. \"Just look at me.\"", "{m} took {a}'s hand. \"Take a deep breath,\" said {m}.", "\"I am always afraid too,\" said {b.full}. \"It goes away when you begin.\"")
    t.tell("Then it was {a}'s turn. It was very quiet.", "{a} went up the steps, one, two, three.")
    t.maybe(0.6, "First {a} [began too fast|forgot what came next|dropped something]. But {a.he} smiled and began again.", "{a}'s voice was small at first. Then it got bigger.")
    t.tell("And it went well!", "It was even better than at home.", "Soon {a.he} forgot all the people.")
    t.tell("Everybody clapped, and {b} clapped the loudest.", "\"Once more! Once more!\" they called.", "\"I did it!\" said {a}. {m} had tears in {m.his} eyes.")
    because(t, "brave is who is afraid and does it anyway")
    finish(t)


def greedy(t: Teller) -> None:
    one, many = t.pick(words.FRUIT.items())
    t.know(a=hero(t), one=one, many=many, p=place(t, ["garden", "orchard", "market", "kitchen", "farm"]), day=one_day(t))
    t.know(b=friend(t), m=family(t))
    set_out(t)
    t.tell("{day}, {a} saw a big basket of {many} {p.at}.", "{day}, {m} put a basket of {many} on the table. \"They are for the party,\" said {m}.")
    t.tell("\"Just one,\" thought {a}, and ate a {one}.", "{a} took one {one}. It was so sweet!")
    t.tell("Then {a.he} ate another, and another.", "One was not enough. So {a.he} ate two, and then three, and then four.", "Soon there were only a few {many} in the basket.")
    t.tell("{b.full} came by. \"Can I have one?\" \"No,\" said {a}. \"They are mine.\"", "\"You should stop,\" said {b.full}. But {a} did not listen.")
    t.tell("When the basket was empty, {a} could not get up any more.", "That night, {a}'s tummy was round and hard like a ball. It hurt.", "\"Oh, my tummy!\" cried {a}.")
    t.tell("{m} made some tea and sat on {a}'s bed.", "{b} came to see {a} and brought a warm blanket.")
    t.tell("\"How many did you eat?\" asked {m}. \"All of them,\" {a} said in a small voice.", "\"I will never eat a {one} again,\" said {a}. {b} had to laugh.")
    t.tell("The next day, {a} helped to pick new {many}. {a.he} gave the first one to {b}.", "When {a} was well again, {a.he} filled the basket and shared with everybody.")
    because(t, "enough is better than too much")
    finish(t)


def sun_and_wind(t: Teller) -> None:
    t.know(a=hero(t), x=thing(t, ["coat", "scarf", "hat", "sweater"]))
    t.tell("The sun and the wind had a fight. \"I am stronger than you,\" said the wind. \"No, I am,\" said the sun.", "One day, the wind said to the sun, \"I am the strongest of all.\" The sun only smiled.")
    t.tell("Down on the road walked {a.intro}, in {x.a}.", "Then they saw {a.intro}. {a.he} wore {x.a}.")
    t.tell("\"Who can make {a} take off {x.the}?\" asked the sun. \"I will go first,\" said the wind.", "\"If you are so strong, then take {x.the} from {a},\" said the sun.")
    t.tell("The wind blew and blew. {a} was cold, and held {x.the} with both hands.", "The wind blew as hard as it could. But the harder it blew, the tighter {a} held {x.the}.")
    t.tell("\"Brr, what a wind!\" said {a}.", "The trees bent down, and leaves flew through the air.", "At last, the wind was tired. \"Now you,\" it said.")
    t.tell("The sun came out from behind a cloud and smiled.", "Then it was the sun's turn. It shone, softly and warmly.")
    t.tell("Soon {a} was warm. {a.he} took off {x.the} and sat down under a tree.", "\"How warm it is now,\" said {a}, and took off {x.the}.")
    t.tell("\"You see,\" said the sun. \"A smile is stronger than a storm.\"", "The wind went away and said nothing all day.", "\"You have won,\" said the wind. From then on, they were friends.")


PLOTS = [who_ate_it, shopping_list, wish, false_alarm, flattery, treasure, baby_bird, letter, moon, concert, greedy, sun_and_wind]
