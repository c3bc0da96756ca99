"""Loss curves from logs."""

from __future__ import annotations

import json
from pathlib import Path


def read_log(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def draw_exits(axes, name: str, color: str, entry: dict) -> None:
    """Loss and agreement after each number of layers, of one evaluation."""
    layers = range(1, len(entry["exit_losses"]) + 1)
    axes.plot(layers, entry["exit_losses"], color=color, marker=".", label=f"{name}: loss")
    axes.plot(layers, entry["exit_agreements"], color=color, ls=":", label=f"{name}: agreement with the last layer")
    axes.set(xlabel="layers", ylabel="loss, nats per token; agreement", title="After fewer layers, held out, at the end")


def plot_runs(runs: list[Path], out: Path, axis: str = "tokens") -> None:
    """One curve per run, thin for training and with marks for held-out text, over tokens, flops or step. The ending
    of `out` is its format, svg or png."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    matplotlib.rcParams["svg.hashsalt"] = "isobath"
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2))
    for number, run in enumerate(runs):
        entries, color = read_log(run), f"C{number}"
        trained = [one for one in entries if one["kind"] == "train"]
        judged = [one for one in entries if one["kind"] == "evaluation"]
        left.plot([one[axis] for one in trained], [one["loss"] for one in trained], color=color, lw=0.6, alpha=0.5)
        places = [one[axis] for one in judged]
        left.plot(places, [one["loss"] for one in judged], color=color, marker=".", label=run.name)
        routed = [one for one in judged if "agreement" in one]
        if routed:
            places = [one[axis] for one in routed]
            right.plot(places, [one["agreement"] for one in routed], color=color, label=f"{run.name}: agreement")
            count = len(routed[0]["depth_shares"]) - 1
            label = f"{run.name}: mean depth / {count}"
            right.plot(places, [one["mean_depth"] / count for one in routed], color=color, ls=":", label=label)
            right.set(xlabel=axis, ylim=(0, 1.02), title="Threshold against top-k, held out")
        if judged and "exit_losses" in judged[-1]:
            draw_exits(right, run.name, color, judged[-1])
    left.set(xlabel=axis, ylabel="loss, nats per token", title="Loss: training (thin), held out (marks)")
    left.legend()
    if right.lines:
        right.legend()
    for one in (left, right):
        one.grid(alpha=0.3)
    figure.tight_layout()
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, metadata={"Date": None} if out.suffix == ".svg" else None)
