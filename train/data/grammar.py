"""Our own stories: a small world with people, things and places, told in frames with choices.

    python -m data.grammar --count 5 --seed 1
"""

import argparse
import random

from data import plots_friends, plots_making, plots_objects, plots_tales
from data.teller import Teller

PLOTS = plots_objects.PLOTS + plots_friends.PLOTS + plots_making.PLOTS + plots_tales.PLOTS
FOR_ANYBODY = [
    plots_objects.lost_thing, plots_objects.broken_thing, plots_objects.gift, plots_objects.found_thing, plots_friends.sharing,
    plots_friends.afraid, plots_friends.lost_child, plots_friends.quarrel, plots_making.seed, plots_making.cooking,
    plots_making.learning, plots_making.wind_and_hat, plots_making.bedtime, plots_making.rainy_day, plots_tales.who_ate_it,
    plots_tales.shopping_list, plots_tales.wish, plots_tales.treasure, plots_tales.letter, plots_tales.moon, plots_tales.concert,
]
TWICE = 0.15  # of the stories have a second one about the same hero


def story(seed: int, number: int) -> str:
    """Story `number` of the endless row that `seed` begins."""
    chance = random.Random(f"story/{seed}/{number}")
    teller = Teller(chance)
    if chance.random() < TWICE:
        first, second = chance.sample(FOR_ANYBODY, 2)
        first(teller)
        teller.begin_again()
        second(teller)
    else:
        chance.choice(PLOTS)(teller)
    return teller.text()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    for number in range(arguments.count):
        print(story(arguments.seed, number) + "\n")


if __name__ == "__main__":
    main()
