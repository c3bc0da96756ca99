"""LayerSkip: the recipe's numbers, what a skipped layer leaves, and that training makes exits useful."""

import json
import math

import pytest
import torch
import torch.nn.functional as F

from isobath_train.attention import causal_attention
from isobath_train.config import LayerSkipConfig, config_from_dict
from isobath_train.evaluate import evaluate
from isobath_train.flops import forward_flops_per_token, train_flops_per_token
from isobath_train.head_loss import HeadLoss
from isobath_train.layer_skip import dropout_rates, exit_weights, exits_at, mean_exits, rates_at, some_samples
from isobath_train.losses import losses
from isobath_train.model import Model
from isobath_train.plot import plot_runs
from isobath_train.trainer import Trainer


@pytest.fixture
def plain(tiny):
    """A plain model of 6 layers, trained to be left early."""
    tiny.recursion = tiny.router = None
    tiny.model.num_hidden_layers = 6
    tiny.layer_skip = LayerSkipConfig()
    return tiny


def test_dropout_grows_with_depth():
    rates = dropout_rates(12, 0.2)
    assert rates[0] == 0.0 and rates[-1] == pytest.approx(0.2)
    for layer, rate in enumerate(rates):
        assert rate == pytest.approx(0.2 * (math.exp(layer * math.log(2) / 11) - 1))


def test_ramp_reaches_the_highest_rate(plain):
    plain.layer_skip.ramp = True
    assert rates_at(plain, 0, 100) == [0.0] * 6
    assert rates_at(plain, 99, 100) == pytest.approx(dropout_rates(6, 0.1))


def test_curricula(plain):
    plain.layer_skip.rotation = 3
    assert [exits_at(plain, step, 99) for step in range(4)] == [[1, 4], [2, 5], [3], [1, 4]]
    plain.layer_skip.curriculum = "gradual"
    assert [exits_at(plain, step, 120) for step in (0, 9, 10, 35, 50, 119)] == [
        [], [], [5], [3, 4, 5], [1, 2, 3, 4, 5], [1, 2, 3, 4, 5],
    ]  # fmt: skip
    plain.layer_skip.curriculum = "all"
    assert exits_at(plain, 7, 99) == [1, 2, 3, 4, 5]
    for name in ("rotational", "gradual", "all"):
        plain.layer_skip.curriculum = name
        counted = sum(len(exits_at(plain, step, 1200)) for step in range(1200)) / 1200
        assert counted == pytest.approx(mean_exits(plain), abs=0.3)


def test_later_exits_weigh_more(plain):
    plain.layer_skip.exit_scale = 0.5
    for name, expected in (("uniform", [1, 1]), ("sqrt", [2, 3]), ("linear", [4, 9]), ("sum", [6, 36])):
        plain.model.num_hidden_layers, plain.layer_skip.weights = 9, name
        early, last = exit_weights(plain, [4])
        assert early[0] / last == pytest.approx(0.5 * expected[0] / expected[1])
        assert early[0] + last == pytest.approx(1)
    assert exit_weights(plain, []) == ([], 1.0)


def test_samples_that_skip_stay_as_they_are():
    torch.manual_seed(5)
    x = torch.zeros(2000, 1, 1, requires_grad=True)
    result = some_samples(lambda rows: rows + 1, x, 0.3)
    ran = result.detach().flatten()
    assert set(ran.tolist()) == {0.0, 1.0} and ran.mean() == pytest.approx(0.7, abs=0.04)
    result.sum().backward()
    assert (x.grad == 1).all()
    assert some_samples(lambda rows: rows + 1, x[:1] + 1, 0.99999) == 1


def test_an_exit_is_the_shorter_model(plain):
    torch.manual_seed(2)
    model = Model(plain)
    tokens = torch.randint(plain.model.vocab_size, (2, 17))
    output = model(tokens[:, :-1], exits=[2, 5])
    plain.model.num_hidden_layers = 2
    short = Model(plain)
    short.load_state_dict({name: model.state_dict()[name] for name in short.state_dict()})
    assert torch.equal(output.exits[2], short(tokens[:, :-1]).hidden) and set(output.exits) == {2, 5}
    plain.model.num_hidden_layers = 6
    result = losses(model, output, tokens[:, 1:])

    def plain_loss(hidden):
        return F.cross_entropy(model.logits(hidden).flatten(0, 1), tokens[:, 1:].flatten())

    last, two, five = plain_loss(output.hidden), plain_loss(output.exits[2]), plain_loss(output.exits[5])
    assert result.total.item() == pytest.approx(((6 * last + 2 * two + 5 * five) / 13).item(), rel=1e-5)
    assert result.exits[5].item() == pytest.approx(five.item(), rel=1e-5)


def test_work_is_counted(plain):
    plain.layer_skip.dropout, plain.layer_skip.curriculum = 0.0, "all"
    head = 2 * plain.model.vocab_size * plain.model.hidden_size
    forward = forward_flops_per_token(plain, 64)
    assert train_flops_per_token(plain, 64) == pytest.approx(3 * (forward + 5 * head))
    plain.layer_skip.dropout = 0.5
    assert train_flops_per_token(plain, 64) < 3 * (forward + 5 * head)


def test_training_makes_exits_useful(plain, tmp_path):
    plain.train.steps = plain.train.evaluate_every = 80
    trainer = Trainer(plain, tmp_path / "skip")
    trainer.run()
    figures = [json.loads(line) for line in (tmp_path / "skip" / "log.jsonl").read_text().splitlines()]
    assert figures[-1]["exit_losses"][2] < 3.0 and figures[-1]["exit_losses"][-1] == figures[-1]["loss"]
    assert figures[-1]["exit_agreements"][-1] == 1.0 and figures[-2]["exit_loss"] < 3.0
    plot_runs([tmp_path / "skip"], tmp_path / "loss.svg")
    assert (tmp_path / "loss.svg").stat().st_size > 5000
    plain.layer_skip = None
    other = Trainer(plain, tmp_path / "plain")
    other.run()
    other.model.config.layer_skip = LayerSkipConfig()
    untrained = evaluate(other.model, trainer.held_out, None)
    assert figures[-1]["exit_losses"][1] < untrained["exit_losses"][1] - 0.3


def test_bf16_on_a_cpu_follows_f32(plain, tmp_path):
    plain.train.steps = plain.train.evaluate_every = 60
    losses_of = []
    for precision in ("f32", "bf16"):
        plain.train.precision = precision
        trainer = Trainer(plain, tmp_path / precision)
        trainer.run()
        losses_of.append(evaluate(trainer.model, trainer.held_out, None)["loss"])
    assert losses_of[0] == pytest.approx(losses_of[1], abs=0.1)


@pytest.mark.parametrize("length", [1, 100, 128, 300])
def test_causal_attention_and_its_gradients(length):
    torch.manual_seed(3)
    q = torch.randn(2, 4, length, 16, requires_grad=True)
    k, v = (torch.randn(2, 2, length, 16, requires_grad=True) for _ in range(2))
    wide = (one.repeat_interleave(2, dim=1) for one in (k, v))
    right = F.scaled_dot_product_attention(q, *wide, is_causal=True)
    mine, come = causal_attention(q, k, v), torch.randn_like(right)
    torch.testing.assert_close(mine, right, rtol=1e-4, atol=1e-5)
    for one, other in zip(*(torch.autograd.grad(y, (q, k, v), come) for y in (mine, right)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_head_loss_in_bf16():
    torch.manual_seed(4)
    hidden, head = torch.randn(300, 32, requires_grad=True), torch.randn(50, 32, requires_grad=True)
    targets = torch.randint(50, (300,))
    exact = F.cross_entropy(hidden @ head.t(), targets)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        near = HeadLoss.apply(hidden, head, targets)
    assert near.item() == pytest.approx(exact.item(), rel=1e-2)
    for one, other in zip(*(torch.autograd.grad(loss, (hidden, head)) for loss in (near, exact)), strict=True):
        assert torch.linalg.vector_norm(one - other) < 0.02 * torch.linalg.vector_norm(other)


def test_settings_that_do_not_fit_are_refused():
    for values, message in (
        ({"layer_skip": {}, "recursion": {}}, "share nothing"),
        ({"layer_skip": {"weights": "falling"}}, "layer_skip.weights"),
        ({"layer_skip": {"curriculum": "none"}}, "layer_skip.curriculum"),
        ({"layer_skip": {"dropout": 1.0}}, "below 1"),
        ({"layer_skip": {"rotation": 0}}, "at least 1"),
        ({"train": {"precision": "f8"}}, "train.precision"),
    ):
        with pytest.raises(ValueError, match=message):
            config_from_dict(values)
