"""The words of our own stories and puzzles: names, animals, things, food and places, in plain English."""

BOYS = """Tom Ben Max Sam Leo Tim Jack Bob Joe Dan Finn Gus Hugo Ian Jim Ken Luke Mark Ned Owen Paul Rob Sid Ted Will
Adam Bill Carl Dave Eli Fred Hank Jay Kit Lou Noah Oscar Pete Ray Toby Zack Andy""".split()
GIRLS = """Lily Mia Anna Zoe Rose May Emma Ella Sue Lucy Amy Jane Kate Molly Nina Ruby Sara Tina Daisy Polly Grace Ivy
Nora Betty Clara Dora Eve Fay Holly Jill Kim Lena Maya Nell Olive Penny Rita Sally Tess Wendy Ada Bella Cora""".split()
CHILDREN = {"girl": GIRLS, "boy": BOYS}
ANIMAL_NAMES = """Pip Star Spot Fluffy Dot Coco Bobo Sunny Ginger Patch Puff Snowy Tiny
Benny Momo Nibbles Pepper Rusty Socks Toto Hoppy Zip Biscuit Honey Button Pogo Fern Moss Pebble Clover Hazel Bramble Wink Tuck Twig Berry Nutty Scout Flick Tumble
Rocket Poppy Ziggy Acorn Maple Dusty Pearl Comet Breeze Tango Mocha Waffle Pickle Sprout Cricket""".split()
FAMILY = {"mom": "she", "dad": "he", "grandma": "she", "grandpa": "he", "big sister": "she", "big brother": "he",
          "aunt": "she", "uncle": "he"}
GROWNUPS = {"farmer": "he", "baker": "he", "teacher": "she", "postman": "he", "gardener": "she", "fisherman": "he",
            "shopkeeper": "she", "doctor": "she", "king": "he", "queen": "she", "sailor": "he", "painter": "she",
            "shoemaker": "he", "old woman": "she", "old man": "he", "miller": "he", "tailor": "he", "nurse": "she"}

# What each animal can do decides how it helps: fly, climb, swim, dig, strong, tall, small (fits into holes), fast.
ANIMALS = {
    "dog": "dig fast", "cat": "climb", "kitten": "climb small", "puppy": "dig", "frog": "swim small",
    "bear": "strong climb", "duck": "swim fly", "mouse": "small", "owl": "fly", "rabbit": "dig fast", "fox": "fast dig",
    "turtle": "swim", "pony": "fast strong", "bird": "fly", "hen": "", "pig": "dig", "cow": "strong", "goat": "climb",
    "sheep": "", "lamb": "", "horse": "strong fast", "bee": "fly small", "squirrel": "climb small fast",
    "monkey": "climb", "elephant": "strong tall", "giraffe": "tall", "lion": "strong", "deer": "fast",
    "penguin": "swim", "hedgehog": "small", "mole": "dig small", "beaver": "swim", "goose": "fly swim", "chick": "small",
    "donkey": "strong", "butterfly": "fly small", "otter": "swim", "robin": "fly", "parrot": "fly", "swan": "swim fly",
    "badger": "dig", "crow": "fly", "hamster": "small", "camel": "tall strong", "dragon": "fly strong",
}
SOUNDS = {"dog": "Woof", "puppy": "Woof", "cat": "Meow", "kitten": "Meow", "duck": "Quack", "cow": "Moo", "pig": "Oink",
          "sheep": "Baa", "lamb": "Baa", "mouse": "Squeak", "frog": "Ribbit", "owl": "Hoo", "bee": "Buzz", "lion": "Roar",
          "hen": "Cluck", "goose": "Honk", "crow": "Caw", "horse": "Neigh", "bird": "Tweet", "chick": "Peep"}
FOOD_OF = {"mouse": "cheese", "rabbit": "carrots", "bear": "honey", "dog": "bones", "cat": "milk", "monkey": "bananas",
           "squirrel": "nuts", "bird": "seeds", "cow": "grass", "horse": "hay", "duck": "bread", "goat": "leaves"}

TRAITS = "little small young kind shy brave lonely curious clever silly quiet gentle busy proud friendly cheerful".split()
COLORS = "red blue green yellow white black brown pink purple orange golden silver gray".split()
TOYS = """ball|kite|doll|drum|train|teddy bear|toy car|toy boat|robot|puzzle|top|whistle|wagon|flute|balloon|jump rope
|toy plane|puppet|rocking horse|toy truck|paper boat|music box|scooter|sled""".replace("\n", "").split("|")
SMALL_THINGS = "button|key|coin|ring|shell|stone|feather|bell|marble|spoon|pencil|leaf|pin|bead|ribbon|nut|star|letter".split("|")
WEAR = "hat|scarf|coat|cap|sweater|glove|shoe|sock|boot|bag|belt|mask|crown|raincoat|backpack".split("|")
HOME_THINGS = """cup plate bowl lamp clock vase mirror chair basket box book picture blanket pillow candle jar pot
teapot bucket broom umbrella""".split()
GIFT_WEAR = "hat|scarf|coat|cap|sweater|bag|belt|crown|backpack".split("|")
TOOLS = "rope ladder hammer saw shovel net stick lamp map broom bucket brush".split()
TREES = "oak|apple tree|pear tree|old tree|tall tree|cherry tree|pine tree".split("|")
FRUIT = {"apple": "apples", "pear": "pears", "plum": "plums", "cherry": "cherries", "berry": "berries", "peach": "peaches",
         "banana": "bananas", "orange": "oranges", "grape": "grapes", "lemon": "lemons", "nut": "nuts"}
PLANTS = {"sunflower": "sunflowers", "rose": "roses", "tulip": "tulips", "pumpkin": "pumpkins", "carrot": "carrots",
          "bean": "beans", "tomato": "tomatoes", "strawberry": "strawberries", "turnip": "turnips", "potato": "potatoes"}
BAKED = ["cake", "pie", "pancake", "muffin", "cookie", "bun", "loaf of bread", "apple pie", "honey cake", "sandwich"]
SOUPS = ["carrot soup", "pumpkin soup", "bean soup", "potato soup", "tomato soup", "mushroom soup", "onion soup"]
INGREDIENTS = ["flour", "milk", "butter", "sugar", "salt", "honey", "an egg", "an onion", "some salt", "some cheese"]
COUNTED = FRUIT | {"ball": "balls", "shell": "shells", "stone": "stones", "book": "books", "cookie": "cookies",
                   "egg": "eggs", "flower": "flowers", "button": "buttons", "coin": "coins", "star": "stars",
                   "fish": "fish", "duck": "ducks", "hat": "hats", "cup": "cups", "block": "blocks", "bean": "beans",
                   "pencil": "pencils", "cake": "cakes", "leaf": "leaves", "toy": "toys", "candle": "candles",
                   "feather": "feathers", "bird": "birds", "sheep": "sheep", "mouse": "mice", "box": "boxes"}

# name: (where, where to, spots in which something can lie or hide)
PLACES = {
    "garden": ("in the garden", "into the garden", "under a bush|behind the gate|next to the roses|under a big leaf|in the grass"),
    "park": ("in the park", "to the park", "under a bench|behind a tree|next to the slide|in the sand|near the swings"),
    "forest": ("in the forest", "into the forest", "under a fern|behind a rock|in a hollow tree|on the moss|next to a mushroom"),
    "beach": ("at the beach", "to the beach", "in the sand|behind a rock|under a towel|next to a boat|near the water"),
    "farm": ("on the farm", "to the farm", "in the hay|behind the barn|under the cart|next to the well|near the fence"),
    "meadow": ("in the meadow", "to the meadow", "in the tall grass|behind a rock|under a daisy|near the fence|next to a tree"),
    "river": ("by the river", "to the river", "under the bridge|between two stones|in the reeds|behind a log|near the water"),
    "lake": ("at the lake", "to the lake", "in the reeds|under an old boat|behind a log|next to a big stone|in the mud"),
    "market": ("at the market", "to the market", "under a table|behind a cart|between the apples|next to a basket|near the well"),
    "school": ("at school", "to school", "under a desk|behind the door|in a drawer|next to the window|in the yard"),
    "kitchen": ("in the kitchen", "into the kitchen", "under the table|behind the stove|in a pot|next to the bread|on the shelf"),
    "barn": ("in the barn", "into the barn", "in the straw|behind a barrel|under the ladder|next to the cow|in an old box"),
    "attic": ("in the attic", "up to the attic", "in an old box|behind a chair|under a blanket|next to the window|in a corner"),
    "playground": ("at the playground", "to the playground", "under the slide|in the sand|behind the swings|next to the bench|near the gate"),
    "hill": ("on the hill", "up the hill", "in the grass|behind a rock|under a tree|next to a flower|in a small hole"),
    "pond": ("at the pond", "to the pond", "in the reeds|behind a log|under a leaf|next to a stone|in the mud"),
    "yard": ("in the yard", "out into the yard", "under the steps|behind the bins|next to the fence|in the grass|near the door"),
    "library": ("in the library", "to the library", "between two books|under a chair|behind a shelf|on the window sill|next to the door"),
    "town": ("in the town", "into the town", "under a bench|behind the church|next to the fountain|near the shop|on the steps"),
    "orchard": ("in the orchard", "to the orchard", "under a tree|in a basket|behind the ladder|in the grass|near the gate"),
}
SEASIDE, WOODS = {"beach", "river", "lake", "pond"}, {"forest", "meadow", "hill", "orchard", "garden", "park"}
SKILLS = {"ride a bike": "rode", "swim": "swam", "whistle": "whistled", "skate": "skated", "tie shoes": "tied",
          "jump rope": "jumped", "climb a tree": "climbed", "play the flute": "played", "stand on one leg": "stood",
          "throw a ball": "threw", "read": "read", "dance": "danced", "draw a horse": "drew", "row a boat": "rowed"}
GAMES = ["tag", "ball", "hide and seek", "pirates", "shop", "school", "kings and queens", "cards", "circus"]
NUMBERS = "zero one two three four five six seven eight nine ten eleven twelve".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()
OPPOSITES = """big small|hot cold|day night|up down|happy sad|fast slow|tall short|wet dry|hard soft|full empty|open closed
|old new|loud quiet|light dark|in out|high low|clean dirty|left right|black white|near far|first last|long short
|heavy light|strong weak|early late|thick thin|young old|sweet sour|good bad|awake asleep|front back|yes no
|push pull|give take|over under|win lose|start stop|laugh cry|rich poor|brave afraid""".replace("\n", "")
OPPOSITES = [tuple(pair.split()) for pair in OPPOSITES.split("|")]
RHYMES = """cat hat|dog frog|mouse house|bee tree|star car|moon spoon|cake lake|boat goat|bear chair|fish dish|king ring
|sun bun|hen pen|box fox|night light|rain train|snow crow|book cook|ball wall|nose rose|sheep sleep|duck truck
|mice rice|bed red|sky pie|door floor|sock clock|pig wig|bug rug|day play|nail snail|tie fly|head bread|well bell""".replace(
    "\n", "")
RHYMES = [tuple(pair.split()) for pair in RHYMES.split("|")]
