"""The training loop: steps, log, checkpoints."""

from __future__ import annotations

import contextlib
import json
import signal
import time
from pathlib import Path

import torch
from torch import nn

from .checkpoint import load_model, random_state, restore_random_state, write_checkpoint
from .config import Config
from .data import Windows, bytes_per_token, held_out, read_tokens
from .distil import teacher_logits
from .evaluate import evaluate
from .flops import step_flops, steps_for_budget
from .layer_skip import exits_at, rates_at
from .losses import agreement, losses
from .model import Model
from .schedule import Schedule, capacities_at
from .token_choice import update_bias


def pick_device(name: str) -> str:
    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"


def total_steps(config: Config) -> int:
    """By the budget where there is one, else as the config says."""
    train = config.train
    steps = steps_for_budget(config, train.flops_budget) if train.flops_budget else train.steps
    if steps <= 0:
        raise ValueError("set train.steps or train.flops_budget")
    return steps


def schedule_of(config: Config) -> Schedule:
    train, steps = config.train, total_steps(config)
    start = steps - round(steps * train.decay_fraction)
    return Schedule(train.learning_rate, train.final_learning_rate, train.warmup_steps, start, steps)


class StopRequest:
    """Hears SIGTERM and Ctrl-C, so that a run saves before it ends. A second signal ends it at once."""

    def __init__(self) -> None:
        self.asked = False
        self.before = {one: signal.signal(one, self.ask) for one in (signal.SIGTERM, signal.SIGINT)}

    def ask(self, number, frame) -> None:
        self.asked = True
        self.close()

    def close(self) -> None:
        for one, handler in self.before.items():
            signal.signal(one, handler)


def make_optimizer(model: Model, config: Config) -> torch.optim.AdamW:
    """Matrices decay, norms do not. All that one update needs is in one pass over the weights."""
    train, parameters = config.train, [one for one in model.parameters() if one.requires_grad]
    groups = [
        {"params": [one for one in parameters if one.ndim > 1], "weight_decay": train.weight_decay},
        {"params": [one for one in parameters if one.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=train.learning_rate, betas=(train.beta_1, train.beta_2), fused=True)


class Trainer:
    """A run in a folder: `log.jsonl`, `checkpoint.pt`, `config.json`, and `kept/` with checkpoints to branch from."""

    def __init__(self, config: Config, out: Path) -> None:
        self.config, self.out = config, out
        self.device = pick_device(config.train.device)
        torch.manual_seed(config.train.seed)
        self.model = Model(config).to(self.device)
        self.optimizer = make_optimizer(self.model, config)
        self.schedule = schedule_of(config)
        corpus = Path(config.train.corpus)
        self.windows = Windows(read_tokens(corpus / "train.bin"), config.train.sequence, config.train.seed)
        valid = read_tokens(corpus / "valid.bin")
        self.held_out = held_out(valid, config.train.sequence, config.train.evaluate_windows)
        self.bytes_per_token = bytes_per_token(corpus)
        self.step, self.tokens, self.flops, self.seconds = 0, 0, 0.0, 0.0
        self.teacher = None
        if config.distil is not None:
            self.teacher = load_model(Path(config.distil.teacher), self.device)[0]
        auxiliary = self.model.auxiliary_routers
        self.auxiliary = list(auxiliary.parameters()) if auxiliary is not None else []
        apart = {id(one) for one in self.auxiliary}
        self.main = [one for one in self.model.parameters() if id(one) not in apart]
        self.recent: list[dict[str, float]] = []

    def state(self) -> dict:
        return {
            "config": self.config.to_dict(), "model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.to_dict(), "data": self.windows.state(), "random": random_state(),
            "step": self.step, "tokens": self.tokens, "flops": self.flops, "seconds": self.seconds,
        }  # fmt: skip

    def restore(self, state: dict) -> None:
        """Goes on from a checkpoint, its schedule included."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule = Schedule(**state["schedule"])
        self.windows.restore(state["data"])
        restore_random_state(state["random"])
        self.step, self.tokens = state["step"], state["tokens"]
        self.flops, self.seconds = state["flops"], state["seconds"]

    def branch_decay(self, steps: int | None, budget: float | None) -> None:
        """Lets the decay begin at this step: it ends when the budget is spent, else after `steps`, else so that the
        decay has the configured share of the whole."""
        if self.step > self.schedule.decay_start:
            raise ValueError(f"step {self.step} lies in the decay already, which began at {self.schedule.decay_start}")
        if budget is not None:
            left = budget - self.flops
            steps = max(1, -int(-left // step_flops(self.config, self.step)))
        if steps is None:
            fraction = self.config.train.decay_fraction
            steps = max(1, round(self.step * fraction / (1 - fraction)))
        self.schedule.decay_start, self.schedule.total = self.step, self.step + steps

    def autocast(self):
        """The precision of products: by itself bf16 on CUDA, f32 on a CPU."""
        precision = self.config.train.precision
        if precision == "bf16" or (precision == "auto" and self.device == "cuda"):
            return torch.autocast(self.device, dtype=torch.bfloat16)
        return contextlib.nullcontext()

    def forward_options(self) -> dict:
        """What the forward pass of this step is given besides the tokens."""
        config = self.config
        if config.router is not None and config.router.kind == "expert":
            warmup = config.router.capacity_warmup_steps
            return {"capacities": capacities_at(self.step, config.capacities(), warmup)}
        if config.layer_skip is not None:
            total = self.schedule.total
            return {"exits": exits_at(config, self.step, total), "rates": rates_at(config, self.step, total)}
        return {}

    def train_step(self) -> dict[str, float]:
        """One optimiser step; returns the numbers for the log."""
        config, train = self.config, self.config.train
        rate = self.schedule.learning_rate(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        options = self.forward_options()
        parts, numbers = train.batch // train.micro_batch, {}
        batch = self.windows.next_batch(train.batch).to(self.device)
        loads = 0
        for part in batch.split(train.micro_batch):
            with self.autocast():
                teacher = teacher_logits(self.teacher, part[:, :-1]) if self.teacher is not None else None
                output = self.model(part[:, :-1], **options)
                result = losses(self.model, output, part[:, 1:], teacher)
            (result.total / parts).backward()
            seen = {"loss": float(result.language), "router_loss": float(result.router)}
            if result.exits:
                seen["exit_loss"] = float(sum(result.exits.values())) / len(result.exits)
            if output.rounds:
                seen["agreement"], seen["agreement_with_first"] = agreement(output)
            if output.choice is not None:
                loads = loads + output.choice.last.flatten().bincount(minlength=config.recursion.count)
            for name, value in seen.items():
                numbers[name] = numbers.get(name, 0.0) + value / parts
        numbers["gradient_norm"] = float(nn.utils.clip_grad_norm_(self.main, train.clip))
        if self.auxiliary:
            nn.utils.clip_grad_norm_(self.auxiliary, train.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if config.router is not None and config.router.balancing == "loss_free" and self.model.router_bias is not None:
            update_bias(self.model.router_bias, loads, config.router.bias_update)
        self.flops += step_flops(config, self.step)
        self.tokens += train.batch * train.sequence
        self.step += 1
        return {**numbers, "learning_rate": rate}

    def log(self, entry: dict) -> None:
        with open(self.out / "log.jsonl", "a") as file:
            file.write(json.dumps(entry) + "\n")

    def log_train(self, began: float) -> None:
        """One line with the means since the last one."""
        count = len(self.recent)
        names = self.recent[0].keys()
        means = {name: sum(one[name] for one in self.recent) / count for name in names}
        rate = count * self.config.train.batch * self.config.train.sequence / (time.monotonic() - began)
        entry = {
            "kind": "train", "step": self.step, "tokens": self.tokens, "flops": self.flops, "epoch": self.windows.epoch,
            **means, "learning_rate": self.recent[-1]["learning_rate"], "tokens_per_second": round(rate, 1),
        }  # fmt: skip
        self.recent = []
        self.log(entry)
        agrees = f" agreement {entry['agreement']:.4f}" if "agreement" in entry else ""
        print(
            f"step {self.step}/{self.schedule.total} loss {entry['loss']:.4f}{agrees} "
            f"rate {entry['learning_rate']:.2e} {rate:.0f} tokens/s",
            flush=True,
        )

    def log_evaluation(self) -> None:
        """Held-out figures, once per step."""
        figures = evaluate(self.model, self.held_out, self.bytes_per_token, self.config.train.micro_batch)
        entry = {"kind": "evaluation", "step": self.step, "tokens": self.tokens, "flops": self.flops, **figures}
        self.log(entry)
        print("held out: " + ", ".join(f"{name} {value}" for name, value in figures.items()), flush=True)

    def drop_log_after(self, step: int) -> None:
        """A run that was killed has logged steps that its checkpoint does not know; they will be run again."""
        path = self.out / "log.jsonl"
        if path.is_file():
            lines = [line for line in path.read_text().splitlines() if json.loads(line)["step"] <= step]
            path.write_text("".join(line + "\n" for line in lines))

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_checkpoint(path, self.state())

    def run(self, stop_after_minutes: float | None = None, stop_at_step: int | None = None) -> bool:
        """Trains to the end, until the time is up, or up to a step, and saves; True where the end is reached."""
        self.out.mkdir(parents=True, exist_ok=True)
        (self.out / "config.json").write_text(json.dumps(self.config.to_dict(), indent=2) + "\n")
        self.drop_log_after(self.step)
        train = self.config.train
        stop = StopRequest()
        started = saved = logged = time.monotonic()
        before = self.seconds
        self.model.train()
        while self.step < self.schedule.total:
            if stop_after_minutes is not None and time.monotonic() - started > stop_after_minutes * 60:
                break
            if stop.asked or (stop_at_step is not None and self.step >= stop_at_step):
                break
            self.recent.append(self.train_step())
            self.seconds = before + time.monotonic() - started
            last = self.step == self.schedule.total
            if self.step % train.log_every == 0 or last:
                self.log_train(logged)
                logged = time.monotonic()
            if self.step % train.evaluate_every == 0 or last:
                self.log_evaluation()
                logged = time.monotonic()
            if train.keep_every and self.step % train.keep_every == 0:
                self.save(self.out / "kept" / f"step-{self.step}.pt")
            if time.monotonic() - saved > train.checkpoint_minutes * 60:
                self.save(self.out / "checkpoint.pt")
                saved = time.monotonic()
        stop.close()
        self.save(self.out / "checkpoint.pt")
        return self.step >= self.schedule.total
