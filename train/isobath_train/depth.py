"""What depth means to a model: pictures and tables from what `isobath eval --tokens` wrote."""

from __future__ import annotations

import html
import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

COLORS = ["#cfd8dc", "#fde725", "#35b779", "#31688e", "#440154"]


def read_tokens(path: Path) -> list[dict]:
    """The lines, each with the text of the token before it (whose depth it is) as `input`."""
    tokens = [json.loads(line) for line in path.read_text().splitlines()]
    for before, token in zip([{"window": -1}] + tokens[:-1], tokens, strict=True):
        token["input"] = before["text"] if before["window"] == token["window"] else None
    return tokens


def kind(text: str | None) -> str:
    """What sort of token a text is."""
    if text is None or text.startswith("<|"):
        return "begin or end"
    if text.strip().isdigit():
        return "digits"
    if not any(one.isalnum() for one in text):
        return "punctuation"
    return "begin of a word" if text.startswith(" ") else "inside or after a quote"


def surprise(token: dict) -> str:
    """The entropy of the prediction, in classes."""
    limits = [(0.05, "below 0.05"), (0.3, "0.05 to 0.3"), (1, "0.3 to 1"), (2, "1 to 2"), (99, "above 2")]
    return next(name for limit, name in limits if token["entropy"] < limit)


def group(tokens: list[dict], key: Callable[[dict], str], least: int = 1) -> list[tuple]:
    """Name, count, mean depth, loss as routed, loss at each fixed depth, of groups of `least` tokens and more."""
    groups = defaultdict(list)
    for token in tokens:
        groups[key(token)].append(token)
    depths = sorted(tokens[0]["at_depth"], key=int)
    return [
        (
            name,
            len(all_of_it),
            fmean(one["depth"] for one in all_of_it),
            -fmean(one["log_probability"] for one in all_of_it),
            *(-fmean(one["at_depth"][depth] for one in all_of_it) for depth in depths),
        )
        for name, all_of_it in groups.items()
        if len(all_of_it) >= least
    ]


def explained(tokens: list[dict], key: Callable[[dict], str | None]) -> float:
    """Share of the variance of depth that a key explains, corrected for its number of values (adjusted R squared)."""
    groups = defaultdict(list)
    for token in tokens:
        groups[key(token)].append(token["depth"])
    mean = fmean(token["depth"] for token in tokens)
    total = sum((token["depth"] - mean) ** 2 for token in tokens) / (len(tokens) - 1)
    inside = sum(sum((depth - fmean(group)) ** 2 for depth in group) for group in groups.values())
    return 1 - inside / (len(tokens) - len(groups)) / total


def table(title: str, rows: list[tuple]) -> str:
    """A Markdown table of `group`'s rows."""
    if not rows:
        return f"No {title} is frequent enough."
    depths = len(rows[0]) - 4
    head = f"| {title} | tokens | mean depth | loss | " + " | ".join(f"at {one + 1}" for one in range(depths)) + " |"
    lines = [head, "|" + " --- |" * (4 + depths)]
    for name, count, *numbers in rows:
        cells = [f"`{name!r}`" if title.startswith("token") else name, str(count)]
        cells += [f"{numbers[0]:.2f}"] + [f"{one:.3f}" for one in numbers[1:]]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def report(tokens: list[dict]) -> str:
    """All tables."""
    words = sorted(group(tokens, lambda token: token["input"] or "", 120), key=lambda row: row[2])
    parts = [
        table("depth chosen", sorted(group(tokens, lambda token: str(token["depth"])))),
        table("token that is read, shallowest", words[:8]),
        table("token that is read, deepest", words[-8:]),
        table(
            "kind of the token that is read",
            sorted(group(tokens, lambda token: kind(token["input"])), key=lambda r: r[2]),
        ),
        table(
            "kind of the token that follows",
            sorted(group(tokens, lambda token: kind(token["text"])), key=lambda r: r[2]),
        ),
        table("entropy of the prediction, nats", sorted(group(tokens, surprise), key=lambda row: row[2])),
        table(
            "position in the window",
            sorted(group(tokens, lambda token: f"{token['position'] // 128 * 128:3d} on")),
        ),
        (
            "Share of the variance of depth explained (adjusted R squared): "
            f"by the token that is read {explained(tokens, lambda token: token['input']):.3f}, "
            f"by position {explained(tokens, lambda token: str(token['position'])):.3f}, "
            f"by the token that follows {explained(tokens, lambda token: token['text']):.3f}."
        ),
    ]
    return "\n\n".join(parts)


def plot_curve(figures: list[dict], out: Path) -> None:
    """Loss against mean depth: the thresholds as a curve, fixed depths and the model's own choice as marks."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    matplotlib.rcParams["svg.hashsalt"] = "isobath"
    figure, axes = plt.subplots(figsize=(6.4, 4))
    swept = sorted((one["mean_depth"], one["loss"]) for one in figures if "threshold" in one["way"])
    fixed = [(one["mean_depth"], one["loss"]) for one in figures if "fixed" in one["way"]]
    own = next(one for one in figures if one["way"] == "adaptive")
    axes.plot(
        *zip(*sorted([*swept, (own["mean_depth"], own["loss"])]), strict=True),
        color="#31688e",
        lw=1,
        marker=".",
        label="threshold moved",
    )
    axes.plot(*zip(*fixed, strict=True), color="#777777", ls=":", marker="s", label="every token alike")
    axes.plot(
        [own["mean_depth"]], [own["loss"]], marker="*", ms=14, color="#d95f02", ls="", label="the model's own threshold"
    )
    axes.set(
        xlabel="mean depth, rounds per token", ylabel="loss, nats per token", title="What depth buys, held-out text"
    )
    axes.legend()
    figure.tight_layout()
    figure.savefig(out, metadata={"Date": None})


def picture(tokens: list[dict], out: Path, count: int, width: int = 96) -> None:
    """The first tokens as text coloured by depth, as SVG."""
    lines: list[list[dict]] = [[]]
    column = 0
    for token in tokens[:count]:
        text = token["text"]
        if text == "\n" or text.startswith("<|") or column + len(text) > width:
            lines.append([])
            column = 0
        if text != "\n" and not text.startswith("<|"):
            lines[-1].append({**token, "column": column})
            column += len(text)
    cell, height = 8.4, 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width * cell + 20:.0f}" height="{len(lines) * height + 40}" font-family="monospace" font-size="14">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for depth in sorted({token["depth"] for token in tokens}):
        x = 10 + depth * 90 - 90
        parts.append(
            f'<rect x="{x}" y="6" width="16" height="16" fill="{COLORS[depth]}"/><text x="{x + 22}" y="19">depth {depth}</text>'
        )
    for number, line in enumerate(lines):
        y = 30 + number * height
        for token in line:
            x, long = 10 + token["column"] * cell, len(token["text"]) * cell
            ink = "white" if token["depth"] >= 3 else "black"
            parts.append(
                f'<rect x="{x:.1f}" y="{y}" width="{long:.1f}" height="{height - 2}" fill="{COLORS[token["depth"]]}"/>'
            )
            parts.append(
                f'<text x="{x:.1f}" y="{y + 14}" fill="{ink}" xml:space="preserve" textLength="{long:.1f}">{html.escape(token["text"])}</text>'
            )
    out.write_text("\n".join([*parts, "</svg>\n"]))


def write(figures: Path, tokens: Path, out: Path, count: int) -> str:
    """Draws `depth_curve.svg` and `depth_text.svg` into `out`; returns the tables."""
    lines = read_tokens(tokens)
    plot_curve(json.loads(figures.read_text())["figures"], out / "depth_curve.svg")
    picture(lines, out / "depth_text.svg", count)
    return report(lines)
