"""Which unrolled layer uses which parameters (MoR section 2.1, figure 2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SHARINGS = ("cycle", "sequence", "middle_cycle", "middle_sequence")


@dataclass(frozen=True)
class SharingMap:
    """For each unrolled layer: the layer whose parameters it uses, and its recursion (None: stands alone)."""

    unique: list[int]
    recursion: list[int | None]
    base_depth: int

    def groups(self) -> list[list[int]]:
        """Unrolled layers that share parameters, in the order of the first of each; those that stand alone as well."""
        members: dict[int, list[int]] = {}
        for layer, unique in enumerate(self.unique):
            members.setdefault(unique, []).append(layer)
        return list(members.values())


def sharing_map(sharing: str, layers: int, count: int) -> SharingMap:
    """The map of a strategy. `layers` unrolled, `count` recursions; base depth D = layers / count, middle kinds
    leave the first and the last layer alone."""
    if sharing not in SHARINGS:
        raise ValueError(f"sharing is {sharing!r}; one of {SHARINGS}")
    middle = sharing.startswith("middle")
    inner = layers - 2 if middle else layers
    if inner < count or inner % count != 0:
        raise ValueError(f"{layers} layers do not split into {count} recursions of {sharing}")
    depth, first = inner // count, 1 if middle else 0
    unique: list[int] = []
    recursion: list[int | None] = []
    for layer in range(layers):
        place = layer - first
        if middle and layer in (0, layers - 1):
            unique.append(layer)
            recursion.append(None)
        elif sharing.endswith("cycle"):
            unique.append(first + place % depth)
            recursion.append(place // depth)
        else:
            unique.append(first + place // count * count)
            recursion.append(place % count)
    return SharingMap(unique, recursion, depth)


def plain_map(layers: int) -> SharingMap:
    """Nothing is shared."""
    return SharingMap(list(range(layers)), [None] * layers, layers)


def spread(first: int, last: int, count: int) -> list[int]:
    """`count` whole numbers from first to last at even distances, halves rounded to even."""
    return [int(one) for one in np.round(np.linspace(first, last, count))]


def picked_layers(sharing: str, layers: int, count: int) -> list[int]:
    """Layers of a model that stay when its number of layers does not divide by the number of recursions."""
    if not sharing.startswith("middle"):
        return spread(0, layers - 1, layers // count * count)
    return [0, *spread(1, layers - 2, (layers - 2) // count * count), layers - 1]
