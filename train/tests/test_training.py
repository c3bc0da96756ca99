"""A run lowers the loss, and goes on after a stop as if it had not stopped."""

import json

import numpy as np
import pytest
import torch

from isobath_train.checkpoint import average, load_model, read_checkpoint
from isobath_train.cli import parser
from isobath_train.config import DistilConfig, RouterConfig, config_from_dict
from isobath_train.data import Windows, held_out
from isobath_train.evaluate import evaluate
from isobath_train.schedule import Schedule, capacities_at
from isobath_train.trainer import Trainer


def entries(folder, kind):
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [one for one in lines if one["kind"] == kind]


def train(config, folder, state=None, until=None):
    trainer = Trainer(config, folder)
    if state is not None:
        trainer.restore(state)
    trainer.run(stop_at_step=until)
    return trainer


def kinds():
    yield "expert", {}
    yield "auxiliary", {"auxiliary": True, "capacity_warmup_steps": 50}
    yield "token", {"kind": "token", "function": "softmax", "alpha": 1.0}
    yield "loss_free", {"kind": "token", "function": "softmax", "alpha": 1.0, "balancing": "loss_free"}
    yield "none", None


@pytest.mark.parametrize(("name", "router"), list(kinds()), ids=lambda one: one if isinstance(one, str) else "")
def test_a_run_lowers_the_loss(tiny, tmp_path, name, router):
    steps = 200 if name == "expert" else 60
    tiny.train.steps, tiny.train.evaluate_every = steps, steps
    tiny.router = None if router is None else RouterConfig(**router)
    trainer = train(tiny, tmp_path)
    seen = entries(tmp_path, "train")
    enough = 1.6 if name == "expert" else 2.6
    assert seen[0]["loss"] > 4.0 and seen[-1]["loss"] < enough
    judged = entries(tmp_path, "evaluation")[-1]
    assert judged["loss"] < enough and judged["step"] == steps
    if name == "expert":
        assert judged["agreement"] > 0.5 and 1 <= judged["mean_depth"] <= 3
    assert trainer.flops == pytest.approx(seen[-1]["flops"])


@pytest.mark.parametrize(("name", "router"), list(kinds()), ids=lambda one: one if isinstance(one, str) else "")
def test_resume_gives_the_same_bits(tiny, tmp_path, name, router):
    tiny.train.steps, tiny.train.log_every = 24, 8
    tiny.router = None if router is None else RouterConfig(**router)
    whole = train(tiny, tmp_path / "whole")
    train(tiny, tmp_path / "parts", until=11)
    with open(tmp_path / "parts" / "log.jsonl", "a") as file:
        file.write('{"kind": "train", "step": 16}\n')
    state = read_checkpoint(tmp_path / "parts")
    assert state["step"] == 11
    parts = train(config_from_dict(state["config"]), tmp_path / "parts", state)
    for (key, one), other in zip(whole.model.state_dict().items(), parts.model.state_dict().values(), strict=True):
        assert torch.equal(one, other), key
    moments = [one.optimizer.state_dict()["state"][0]["exp_avg"] for one in (whole, parts)]
    assert torch.equal(*moments)
    assert (whole.step, whole.tokens, whole.flops) == (parts.step, parts.tokens, parts.flops)
    assert [one["step"] for one in entries(tmp_path / "parts", "train")] == [8, 16, 24]


def test_decay_branch(tiny, tmp_path):
    tiny.train.steps, tiny.train.keep_every = 40, 16
    train(tiny, tmp_path / "main")
    state = read_checkpoint(tmp_path / "main" / "kept" / "step-16.pt")
    branch = Trainer(config_from_dict(state["config"]), tmp_path / "branch")
    branch.restore(state)
    branch.branch_decay(8, None)
    assert (branch.schedule.decay_start, branch.schedule.total) == (16, 24)
    branch.run()
    assert branch.step == 24 and entries(tmp_path / "branch", "train")[-1]["learning_rate"] == pytest.approx(3e-3 / 8)
    branch.restore(state)
    branch.branch_decay(None, state["flops"] * 1.5)
    assert branch.schedule.total == 24
    late = Trainer(config_from_dict(state["config"]), tmp_path / "late")
    late.restore(read_checkpoint(tmp_path / "main"))
    with pytest.raises(ValueError, match="decay already"):
        late.branch_decay(8, None)


def test_an_average_of_checkpoints_starts_a_run(tiny, tmp_path):
    tiny.train.steps, tiny.train.keep_every = 8, 4
    trainer = train(tiny, tmp_path / "run")
    paths = [tmp_path / "run" / "kept" / "step-4.pt", tmp_path / "run"]
    mean = average(paths)
    first = read_checkpoint(paths[0])["model"]["embedding"]
    assert torch.allclose(mean["model"]["embedding"], (first + trainer.model.embedding.detach()) / 2)
    trainer.model.load_state_dict(mean["model"])
    tiny.model.hidden_size = 32
    with pytest.raises(ValueError, match="different models"):
        average([*paths, train(tiny, tmp_path / "other").out])


def test_budget_ends_the_run(tiny):
    from isobath_train.flops import step_flops, steps_for_budget

    tiny.router.capacity_warmup_steps = 10
    budget = sum(step_flops(tiny, step) for step in range(15))
    assert steps_for_budget(tiny, budget) == 15
    assert steps_for_budget(tiny, budget * 1.001) == 16
    assert step_flops(tiny, 0) > step_flops(tiny, 5) > step_flops(tiny, 10) == step_flops(tiny, 99)


def test_distillation(tiny, tmp_path):
    tiny.train.steps = 60
    train(tiny, tmp_path / "teacher")
    tiny.distil = DistilConfig(str(tmp_path / "teacher"), 2.0, 0.9)
    tiny.train.steps = 30
    train(tiny, tmp_path / "student")
    seen = entries(tmp_path / "student", "train")
    assert seen[-1]["loss"] < seen[0]["loss"]
    model, config, _ = load_model(tmp_path / "student")
    assert config.distil.temperature == 2.0 and not model.training


def test_schedule():
    schedule = Schedule(peak=1.0, final=0.1, warmup=10, decay_start=80, total=100)
    assert schedule.learning_rate(0) == pytest.approx(0.1)
    assert schedule.learning_rate(9) == schedule.learning_rate(50) == schedule.learning_rate(80) == 1.0
    assert schedule.learning_rate(90) == pytest.approx(0.55)
    assert schedule.learning_rate(100) == pytest.approx(0.1)
    final = [1.0, 2 / 3, 1 / 3]
    assert capacities_at(0, final, 100) == [1.0, 1.0, 1.0]
    assert capacities_at(50, final, 100) == pytest.approx([1.0, 5 / 6, 2 / 3])
    assert capacities_at(100, final, 100) == capacities_at(0, final, 0) == final


def test_windows():
    tokens = np.arange(1000, dtype="<u2")
    windows = Windows(tokens, 10, seed=4)
    count = len(windows.starts)
    first = windows.next_batch(count)
    assert first.shape == (count, 11) and len(set(first[:, 0].tolist())) == count
    assert torch.equal(first[:, 1:], first[:, :-1] + 1)
    after = windows.next_batch(5)
    assert windows.epoch == 1 and windows.index == 5
    other = Windows(tokens, 10, seed=4)
    other.seek(1, 0)
    assert torch.equal(other.next_batch(5), after)
    longer = Windows(np.arange(2000, dtype="<u2"), 10, seed=4)
    longer.restore(windows.state())
    assert (longer.epoch, longer.index) == (2, 0)
    assert held_out(tokens, 10, 7).shape == (7, 11)
    assert torch.equal(held_out(tokens, 10, 7), held_out(tokens, 10, 7))


def test_settings_that_do_not_fit_are_refused():
    for values, message in (
        ({"model": {"hiden_size": 3}}, "unknown setting"),
        ({"extra": {}}, "unknown part"),
        ({"router": {}}, r"need \[recursion\]"),
        ({"recursion": {"sharing": "sequence"}, "router": {}}, "cycle or middle_cycle"),
        ({"recursion": {}, "router": {"capacity": [1.0, 0.5, 0.6]}}, "never rise"),
        ({"recursion": {}, "router": {"function": "softmax"}}, "router.function"),
    ):
        with pytest.raises(ValueError, match=message):
            config_from_dict(values)


def test_evaluation_at_every_depth(tiny, tmp_path):
    tiny.train.steps = 2
    trainer = train(tiny, tmp_path)
    figures = evaluate(trainer.model, trainer.held_out, trainer.bytes_per_token, depths=True)
    assert {"loss", "loss_top_k", "loss_at_depth_1", "loss_at_depth_3", "bits_per_byte"} <= set(figures)
    assert sum(figures["depth_shares"]) == pytest.approx(1.0, abs=1e-3)


def test_every_command_has_help(capsys):
    for name in ("train", "evaluate", "export", "convert", "average", "plot", "sample"):
        with pytest.raises(SystemExit) as stop:
            parser().parse_args([name, "--help"])
        assert stop.value.code == 0 and name in capsys.readouterr().out
