"""The commands. Each is one line in train/README.md."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from . import cli_frozen
from .config import Config, config_from_dict, read_config


def starting_config(arguments: argparse.Namespace) -> Config:
    """Of a new run. One that starts from converted weights has their architecture, whatever the file says of it."""
    from .folder import read_start

    if not arguments.config:
        raise ValueError("--config is needed to start a run")
    config = read_config(arguments.config)
    if arguments.init:
        made = config_from_dict(read_start(Path(arguments.init))["config"])
        config.model, config.recursion, config.kv, config.lora = made.model, made.recursion, made.kv, made.lora
    if arguments.flops_budget is not None:
        config.train.flops_budget = arguments.flops_budget
    return config


def train(arguments: argparse.Namespace) -> int:
    from .checkpoint import read_checkpoint
    from .folder import read_start
    from .trainer import Trainer

    out, state = Path(arguments.out), None
    if arguments.resume and arguments.decay_from:
        raise ValueError("--resume goes on in --out; --decay-from starts a branch there: one of them")
    if (out / "checkpoint.pt").exists() and not arguments.resume:
        raise ValueError(f"{out} has a checkpoint already; add --resume, or choose another --out")
    source = Path(arguments.decay_from) if arguments.decay_from else out / "checkpoint.pt"
    if arguments.decay_from or (arguments.resume and source.exists()):
        # What a checkpoint says is what goes on: its config, not the file's.
        state = read_checkpoint(source)
        config = config_from_dict(state["config"])
    else:
        config = starting_config(arguments)
    if arguments.corpus:
        config.train.corpus = arguments.corpus
    trainer = Trainer(config, out)
    if arguments.init and state is None:
        trainer.model.load_state_dict(read_start(Path(arguments.init))["model"])
    if state is not None:
        trainer.restore(state)
    if arguments.decay_from:
        trainer.branch_decay(arguments.decay_steps, arguments.flops_budget)
    count = trainer.model.parameter_count()
    print(f"{count['total']} parameters, {count['without_embedding']} without embedding", flush=True)
    print(trainer.schedule, flush=True)
    ended = trainer.run(arguments.stop_after_minutes, arguments.stop_at_step)
    print("done" if ended else f"stopped at step {trainer.step}; go on with --resume")
    return 0


def evaluate(arguments: argparse.Namespace) -> int:
    from .checkpoint import load_model
    from .data import bytes_per_token, held_out, read_tokens
    from .evaluate import evaluate as judge

    model, config, state = load_model(Path(arguments.run))
    corpus = Path(arguments.corpus or config.train.corpus)
    windows = held_out(read_tokens(corpus / "valid.bin"), config.train.sequence, arguments.windows)
    figures = judge(model, windows, bytes_per_token(corpus), depths=True)
    print(json.dumps({"step": state["step"], "windows": len(windows), **model.parameter_count(), **figures}, indent=2))
    return 0


def export(arguments: argparse.Namespace) -> int:
    from .checkpoint import load_model
    from .export import export_folder

    model, config, _ = load_model(Path(arguments.run))
    tokenizer = Path(arguments.corpus or config.train.corpus) / "tokenizer.json"
    export_folder(model, config, Path(arguments.out), arguments.dtype, tokenizer if tokenizer.is_file() else None)
    if not tokenizer.is_file():
        print(f"{tokenizer} is not there: put a tokenizer.json into {arguments.out}", file=sys.stderr)
    return 0


def convert(arguments: argparse.Namespace) -> int:
    from .checkpoint import load_model, write_checkpoint
    from .initialise import convert as make

    source, source_config, _ = load_model(Path(arguments.run))
    config = read_config(arguments.config)
    if arguments.rank is not None and config.lora is not None:
        config.lora.rank = arguments.rank
    config.train.corpus = arguments.corpus or source_config.train.corpus
    model = make(source, config, arguments.strategy, arguments.adapters, config.train.seed)
    out = Path(arguments.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_checkpoint(out, {"config": model.config.to_dict(), "model": model.state_dict(), "step": 0})
    print(f"{source.parameter_count()['total']} parameters become {model.parameter_count()['total']}")
    return 0


def mean(arguments: argparse.Namespace) -> int:
    from .checkpoint import average, write_checkpoint

    write_checkpoint(Path(arguments.out), average([Path(one) for one in arguments.checkpoints]))
    return 0


def depth(arguments: argparse.Namespace) -> int:
    from .depth import write

    print(write(Path(arguments.figures), Path(arguments.tokens), Path(arguments.out), arguments.count))
    return 0


def plot(arguments: argparse.Namespace) -> int:
    from .plot import plot_runs

    plot_runs([Path(run) for run in arguments.runs], Path(arguments.out), arguments.axis)
    return 0


def sample(arguments: argparse.Namespace) -> int:
    from tokenizers import Tokenizer

    from .checkpoint import load_model
    from .sample import generate

    model, config, _ = load_model(Path(arguments.run))
    tokenizer = Tokenizer.from_file(str(Path(arguments.corpus or config.train.corpus) / "tokenizer.json"))
    start = tokenizer.encode(arguments.prompt).ids
    for number in range(arguments.samples):
        tokens, depths = generate(model, start, arguments.tokens, arguments.temperature, arguments.seed + number)
        print(f"--- {number + 1}\n{arguments.prompt}{tokenizer.decode(tokens)}")
        if config.router is not None:
            print("depths: " + "".join(str(one) for one in depths))
    return 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="isobath_train", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)

    def command(name: str, run, text: str) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=text, description=text)
        one.set_defaults(run_command=run)
        return one

    one = command("train", train, "Train, resume, or branch off a decay")
    one.add_argument("--config", help="TOML file; a resumed run keeps its own")
    one.add_argument("--out", required=True, help="folder of the run")
    one.add_argument("--resume", action="store_true", help="go on from OUT/checkpoint.pt where it is there")
    one.add_argument("--stop-after-minutes", type=float, help="save and stop; --resume goes on")
    one.add_argument("--stop-at-step", type=int, help="save and stop there; --resume goes on")
    one.add_argument("--decay-from", help="checkpoint of the stable phase: begin its decay now, in OUT")
    one.add_argument("--decay-steps", type=int, help="length of that decay; default: the configured share")
    one.add_argument("--flops-budget", type=float, help="end of the run, or of that decay, in training FLOPs")
    one.add_argument("--init", help="weights to start from: a checkpoint made by convert, or a folder of the engine")
    one.add_argument("--corpus", help="folder with the data, instead of the config's")

    one = command("evaluate", evaluate, "Held-out loss by threshold, by top-k and at fixed depths")
    one.add_argument("--run", required=True, help="folder of a run, or a checkpoint")
    one.add_argument("--windows", type=int, default=256)
    one.add_argument("--corpus")

    one = command("export", export, "Write the folder that the engine loads")
    one.add_argument("--run", required=True)
    one.add_argument("--out", required=True)
    one.add_argument("--dtype", default="f32", choices=["f32", "f16", "q8_0"])
    one.add_argument("--corpus")

    one = command("convert", convert, "Make a recursive, relaxed or routed model from a trained vanilla one")
    one.add_argument("--run", required=True, help="folder of the vanilla run, or a checkpoint")
    one.add_argument("--config", required=True, help="TOML file of the model to make")
    one.add_argument("--out", required=True, help="checkpoint to write; train starts from it with --init")
    one.add_argument("--strategy", default="stepwise", choices=["stepwise", "average", "lower", "upper"])
    one.add_argument("--adapters", default="svd", choices=["svd", "zero"])
    one.add_argument("--rank", type=int, help="instead of the config's")
    one.add_argument("--corpus")

    one = command("average", mean, "Average checkpoints of one run: a start for train, or a model to export")
    one.add_argument("checkpoints", nargs="+", help="checkpoints, or folders of runs")
    one.add_argument("--out", required=True, help="checkpoint to write")

    one = command("depth", depth, "Tables and pictures of what `isobath eval` wrote")
    one.add_argument("--figures", required=True, help="what `isobath eval --output json` printed")
    one.add_argument("--tokens", required=True, help="what `isobath eval --tokens` wrote")
    one.add_argument("--out", required=True, help="folder for the pictures")
    one.add_argument("--count", type=int, default=380, help="tokens in the coloured text")

    one = command("plot", plot, "Draw loss curves of one or more runs")
    one.add_argument("runs", nargs="+")
    one.add_argument("--out", required=True, help="file ending in .svg or .png")
    one.add_argument("--axis", default="tokens", choices=["tokens", "flops", "step"])

    one = command("sample", sample, "Write a few texts")
    one.add_argument("--run", required=True)
    one.add_argument("--prompt", default="Once upon a time")
    one.add_argument("--tokens", type=int, default=80)
    one.add_argument("--temperature", type=float, default=0.0)
    one.add_argument("--samples", type=int, default=1)
    one.add_argument("--seed", type=int, default=0)
    one.add_argument("--corpus")
    cli_frozen.add_commands(command)
    return top


def main(words: list[str] | None = None) -> int:
    """Runs a command, by default that of the command line; returns the exit status."""
    arguments = parser().parse_args(words)
    try:
        return arguments.run_command(arguments)
    except (ValueError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
