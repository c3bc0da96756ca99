"""Our own stories: a small world with people, things and places, told in frames with choices.

    python -m data.grammar --count 5 --seed 1
"""

import argparse
import random

from data import plots_friends, plots_making, plots_objects
from data.teller import Teller

PLOTS = plots_objects.PLOTS + plots_friends.PLOTS + plots_making.PLOTS


def story(seed: int, number: int) -> str:
    """Story `number` of the endless row that `seed` begins."""
    chance = random.Random(f"story/{seed}/{number}")
    teller = Teller(chance)
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
