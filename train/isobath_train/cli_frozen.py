"""The commands that add something to a frozen model: heads at its exits, predictors of exits, a layer that guesses."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path


def settings_of(arguments: argparse.Namespace, model):
    """Settings of the command line; a sequence is never longer than the model's context."""
    from .frozen import Settings

    corpus = Path(arguments.corpus or model.config.train.corpus)
    sequence = min(arguments.sequence, model.config.model.max_position_embeddings)
    return Settings(
        corpus, arguments.steps, arguments.batch, sequence, arguments.learning_rate, arguments.seed, arguments.windows
    )


def exit_heads(arguments: argparse.Namespace) -> int:
    from .exit_heads import calibration, export_heads, spread_exits, train_heads, uncertainty
    from .frozen import read_frozen

    model, out = read_frozen(Path(arguments.run)), Path(arguments.out)
    settings = settings_of(arguments, model)
    layers = arguments.layers or spread_exits(model.config.model.num_hidden_layers, arguments.exits)
    heads = train_heads(model, layers, arguments.rank, settings, out)
    calibrated = calibration(uncertainty(model, heads, settings), arguments.policy, settings)
    export_heads(model, heads, calibrated, Path(arguments.run).name, settings, out)
    print(json.dumps(calibrated["statistics"], indent=2))
    return 0


def draft_layer(arguments: argparse.Namespace) -> int:
    from .draft_layer import acceptance, export_draft, train_draft
    from .frozen import read_frozen

    model, out = read_frozen(Path(arguments.run)), Path(arguments.out)
    settings = settings_of(arguments, model)
    layer = train_draft(model, arguments.horizon, settings, out)
    figures = {"horizon": arguments.horizon, **acceptance(model, layer, settings, arguments.judged)}
    export_draft(model, layer, figures, out)
    print(json.dumps(figures, indent=2))
    return 0


def exit_predictors(arguments: argparse.Namespace) -> int:
    from .draft_layer import read_draft
    from .frozen import read_frozen
    from .predictors import collect, export_predictors, figures_of, from_draft, from_exit, train_predictors

    model, out = read_frozen(Path(arguments.run)), Path(arguments.out)
    settings, layers = settings_of(arguments, model), model.config.model.num_hidden_layers
    if bool(arguments.draft) == bool(arguments.candidates_at):
        raise ValueError("candidates come from --draft FOLDER or from --candidates-at LAYERS: one of them")
    if arguments.draft:
        candidates = from_draft(model, read_draft(model, Path(arguments.draft)))
    elif 1 <= arguments.candidates_at < layers:
        candidates = from_exit(model, arguments.candidates_at)
    else:
        raise ValueError(f"--candidates-at is {arguments.candidates_at}; from 1 to {layers - 1}")
    predictors = train_predictors(collect(model, candidates, settings, arguments.samples), arguments.epochs, settings)
    count = arguments.offline or max(1, layers // 4)
    figures = figures_of(model, predictors, candidates, settings, arguments.threshold, count)
    figures["draft"] = arguments.draft is not None
    export_predictors(predictors, figures, out)
    print(json.dumps(figures, indent=2))
    return 0


def layer_list(text: str) -> list[int]:
    return [int(one) for one in text.split(",")]


def add_commands(command: Callable) -> None:
    """Adds the three to those of cli.py."""

    def frozen(name: str, run, text: str, rate: float, steps: int | None = None) -> argparse.ArgumentParser:
        one = command(name, run, text)
        one.add_argument("--run", required=True, help="a run's folder, a checkpoint, or the engine's folder")
        one.add_argument("--out", required=True, help="folder to write")
        one.add_argument("--corpus", help="needed for an engine's folder, which names none")
        one.set_defaults(steps=0)
        if steps is not None:
            one.add_argument("--steps", type=int, default=steps)
        one.add_argument("--batch", type=int, default=4)
        one.add_argument("--sequence", type=int, default=256)
        one.add_argument("--learning-rate", type=float, default=rate)
        one.add_argument("--seed", type=int, default=1)
        one.add_argument("--windows", type=int, default=64, help="held-out windows for calibration and figures")
        return one

    one = frozen("exit-heads", exit_heads, "Norm and head for exits of a frozen model, calibrated (DSSD)", 1e-4, 1000)
    one.add_argument("--exits", type=int, default=3, help="that many at even distances")
    one.add_argument("--layers", type=layer_list, help="or these, as 2,5,8: layers from 0 whose output is read")
    one.add_argument("--rank", type=int, default=0, help="learn a low-rank difference to the model's head alone")
    one.add_argument(
        "--policy", choices=["max_coverage", "min_coverage", "midpoint", "platt"], default="max_coverage"
    )

    one = frozen("draft-layer", draft_layer, "A layer that guesses for a frozen model (EAGLE-1's form)", 3e-4, 2000)
    one.add_argument("--horizon", type=int, default=3, help="guesses in a row that it learns to make")
    one.add_argument("--judged", type=int, default=5, help="guesses in a row that are judged")

    one = frozen("exit-predictors", exit_predictors, "Predictors of exits for a frozen model (SpecEE)", 1e-3)
    one.add_argument("--draft", help="folder of a draft layer, whose best four tokens are the candidates")
    one.add_argument("--candidates-at", type=int, help="or the best four after this many layers")
    one.add_argument("--samples", type=int, default=16000, help="rows of the corpus to learn from")
    one.add_argument("--epochs", type=int, default=4)
    one.add_argument("--threshold", type=float, default=0.5)
    one.add_argument("--offline", type=int, help="layers that are always probed; default: a quarter of them")
