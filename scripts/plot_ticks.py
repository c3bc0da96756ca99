#!/usr/bin/env python3
"""Draws what a tick costs, from the rows of `isobath bench --output json`; needs Python alone.

    scripts/plot_ticks.py ROWS.jsonl OUT.svg

Rows without context make the left half and the first table, rows of one number of lanes with context the others.
"""

import html
import json
import math
import re
import sys

WIDTH, HEIGHT = 920, 360
COLOURS = {"waves": "#0072b2", "mixed": "#d55e00"}  # told apart by colour-blind readers


def parse(path):
    """(lanes, context before the first token, row) of every decoding test."""
    found = []
    for line in open(path, encoding="utf-8"):
        row = json.loads(line)
        name = re.fullmatch(r"tg\d+(?: @ d(\d+))?(?: x(\d+))?", row["test"])
        if name:
            found.append((int(name[2] or 1), int(name[1] or 0), row))
    return found


def curves(rows, place):
    """Points (x, ms per tick) of each order."""
    points = {}
    for lanes, at, row in rows:
        one = points.setdefault(row["order"], {})
        x = lanes if place == "lanes" else at
        # What both halves have was measured twice: first among lanes, then with room for long contexts.
        if place == "context" or x not in one:
            one[x] = row["ms_per_tick"]
    return {order: sorted(one.items()) for order, one in points.items()}


def nice(top):
    """A round step that gives 4 to 8 lines up to `top`."""
    step = 10 ** math.floor(math.log10(top / 4))
    return next(step * factor for factor in (1, 2, 5, 10) if top / (step * factor) <= 8)


class Panel:
    """One diagram: `x` maps a place to 0..1."""

    def __init__(self, left, title, label, ticks, x, lines):
        self.left, self.lines, self.x = left, lines, x
        self.top = 1.08 * max(y for points in lines.values() for _, y in points)
        self.title, self.label, self.ticks = title, label, ticks

    def place(self, x, y):
        return self.left + 62 + 370 * self.x(x), 300 - 250 * y / self.top

    def draw(self):
        out = []
        step = nice(self.top)
        for i in range(int(self.top / step) + 1):
            x, y = self.place(self.ticks[0], i * step)
            end = self.place(self.ticks[-1], 0)[0]
            out.append(f'<path d="M{x:.1f} {y:.1f}H{end:.1f}" stroke="#ddd"/>')
            out.append(f'<text x="{x - 8:.1f}" y="{y + 4:.1f}" text-anchor="end">{i * step:g}</text>')
        for tick in self.ticks:
            x, y = self.place(tick, 0)
            out.append(f'<text x="{x:.1f}" y="{y + 18:.1f}" text-anchor="middle">{tick}</text>')
        for order, points in self.lines.items():
            colour = COLOURS.get(order, "#000")
            places = [self.place(*point) for point in points]
            path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
            out.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
            out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        middle = self.left + 247
        out.append(f'<text x="{middle}" y="24" text-anchor="middle" font-weight="bold">{html.escape(self.title)}</text>')
        out.append(f'<text x="{middle}" y="338" text-anchor="middle">{html.escape(self.label)}</text>')
        for i, order in enumerate(self.lines):
            out.append(f'<text x="{self.left + 76}" y="{52 + 18 * i}" fill="{COLOURS.get(order, "#000")}">{order}</text>')
        return out


def table(head, lines):
    """Markdown: a line per place, a column per order."""
    print(f"| {head} | " + " | ".join(f"{order}, ms per tick" for order in lines) + " |")
    print("|" + " --- |" * (1 + len(lines)))
    for place in sorted({x for points in lines.values() for x, _ in points}):
        cells = [f"{dict(points)[place]:.1f}" if place in dict(points) else "" for points in lines.values()]
        print(f"| {place} | " + " | ".join(cells) + " |")
    print()


def main(source, target):
    rows = parse(source)
    if not rows:
        sys.exit(f"{source}: no rows of tests like tg8 x4")
    by_lanes = curves([one for one in rows if one[1] == 0], "lanes")
    deep = max((lanes for lanes, at, _ in rows if at > 0), default=None)
    by_context = curves([one for one in rows if one[0] == deep], "context") if deep else {}
    panels = []
    if by_lanes:
        ticks = sorted({x for points in by_lanes.values() for x, _ in points})
        most = math.log2(max(ticks)) or 1
        panels.append(Panel(0, "ms per tick, no context", "lanes", ticks, lambda x: math.log2(x) / most, by_lanes))
        table("lanes", by_lanes)
    if by_context:
        ticks = sorted({x for points in by_context.values() for x, _ in points})
        label = "tokens of context"
        panels.append(Panel(460, f"ms per tick, {deep} lanes", label, ticks, lambda x: x / max(ticks), by_context))
        table("context", by_context)
    first = rows[0][2]
    note = html.escape(f'{first["model"]} on {first["adapter"]}, {first["driver"]}')
    with open(target, "w", encoding="utf-8") as out:
        out.write(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-size="12" ')
        out.write(f'font-family="sans-serif" fill="#222">\n<title>{note}</title>\n')
        out.write(f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>\n')
        out.write("\n".join(line for panel in panels for line in panel.draw()))
        out.write(f'\n<text x="{WIDTH - 12}" y="{HEIGHT - 6}" text-anchor="end" font-size="10" fill="#666">{note}</text>\n</svg>\n')


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
