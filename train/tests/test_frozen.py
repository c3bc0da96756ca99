"""What is trained on a frozen model: exit heads and their thresholds, a draft layer, predictors of exits."""

import json
import math

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from isobath_train.calibrate import LEVELS, NEVER, thresholds
from isobath_train.cli import main
from isobath_train.config import LayerSkipConfig
from isobath_train.draft_layer import DraftLayer, acceptance, export_draft, read_draft, roll_out, train_draft
from isobath_train.exit_heads import ExitHeads, spread_exits, train_heads, uncertainty
from isobath_train.export import export_folder
from isobath_train.frozen import Settings, read_frozen, states_of
from isobath_train.layers import Rotation
from isobath_train.predictors import Exits, Samples, dry_run, from_exit, offline_layers, samples_of, train_predictors
from isobath_train.trainer import Trainer


@pytest.fixture(scope="session")
def trained(corpus, tmp_path_factory):
    """A plain model of 6 layers after a short training, as a run's folder."""
    from conftest import CONFIGS
    from isobath_train.config import read_config

    config = read_config(CONFIGS / "tiny.toml")
    config.recursion = config.router = None
    config.model.num_hidden_layers, config.layer_skip = 6, LayerSkipConfig()
    config.model.vocab_size = json.loads((corpus / "meta.json").read_text())["vocab_size"]
    config.train.corpus, config.train.device = str(corpus), "cpu"
    config.train.steps = config.train.evaluate_every = 120
    out = tmp_path_factory.mktemp("run")
    Trainer(config, out).run()
    return out


@pytest.fixture
def model(trained):
    return read_frozen(trained)


def short(corpus, steps=60, rate=1e-3):
    return Settings(corpus, steps, 4, 48, rate, 1, 16)


def some_states(model, rows=3, length=20):
    torch.manual_seed(7)
    return states_of(model, torch.randint(model.config.model.vocab_size, (rows, length)))


def test_states_are_the_model_s(model):
    states = some_states(model)
    output = model(states.tokens, exits=[2])
    assert torch.equal(states.final, output.hidden) and len(states.layers) == 7
    assert torch.equal(model.final_norm(states.layers[2]), output.exits[2])


def test_a_folder_in_q8_0_is_read(model, tmp_path, corpus):
    export_folder(model, model.config, tmp_path, "q8_0", corpus / "tokenizer.json")
    packed = read_frozen(tmp_path)
    one, other = model.embedding, packed.embedding
    assert not torch.equal(one, other) and (one - other).abs().max() < one.abs().max() / 200
    assert not any(one.requires_grad for one in packed.parameters())


def test_a_model_with_a_router_is_refused(tiny, tmp_path):
    tiny.train.steps = 1
    Trainer(tiny, tmp_path).run()
    with pytest.raises(ValueError, match="without a router"):
        read_frozen(tmp_path)


def test_exits_are_spread_as_published():
    assert spread_exits(28, 4) == [5, 11, 16, 22] and spread_exits(32, 3) == [8, 16, 24]
    assert spread_exits(3, 5) == [0, 1, 2]


def test_heads_learn_the_model_s_distribution(model, corpus, tmp_path):
    before = uncertainty(model, ExitHeads(model, [0, 3]), short(corpus))
    for rank in (0, 8):
        heads = train_heads(model, [0, 3], rank, short(corpus, 100), tmp_path)
        after = uncertainty(model, heads, short(corpus))
        gains = [float(new[1].float().mean() - old[1].float().mean()) for new, old in zip(after, before, strict=True)]
        assert gains[0] > 0.03 and gains[1] > -0.03
        logits = heads(some_states(model))[1]
        weight = F.linear(heads.heads[1].norm(some_states(model).layers[4]), heads.heads[1].weight())
        torch.testing.assert_close(logits, weight, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="must rise"):
        ExitHeads(model, [5])


def test_thresholds_by_hand():
    uncertain = torch.tensor([0.4, 0.1, 0.2, 0.3, 0.5, 0.6])
    right = torch.tensor([True, True, False, True, True, False])
    # Running agreement from small to large: 1, 1/2, 2/3, 3/4, 4/5, 4/6.
    at = {policy: dict(zip(LEVELS, thresholds(uncertain, right, policy), strict=True))
          for policy in ("max_coverage", "min_coverage", "midpoint")}  # fmt: skip
    assert at["max_coverage"][0.75] == pytest.approx(0.5) and at["max_coverage"][0.99] == pytest.approx(0.1)
    assert at["min_coverage"][0.75] == pytest.approx(0.1) and at["midpoint"][0.75] == pytest.approx(0.3)
    assert (uncertain.double() < at["max_coverage"][0.75]).sum() == 5
    assert thresholds(uncertain, ~right.logical_or(right.logical_not())) == [NEVER] * len(LEVELS)
    same = thresholds(torch.zeros(4), torch.tensor([True, False, True, True]))
    assert same[3] > 0 and same[4] == NEVER, "equal entropies count together"
    with pytest.raises(ValueError, match="policy"):
        thresholds(uncertain, right, "best")


def test_platt_finds_the_curve_that_made_the_samples():
    random = torch.Generator().manual_seed(1)
    uncertain = torch.rand(20000, generator=random) * 4
    right = torch.rand(20000, generator=random) < torch.sigmoid(3 - 2 * uncertain)
    found = thresholds(uncertain, right, "platt")
    for level, limit in zip(LEVELS, found, strict=True):
        exact = (math.log(level / (1 - level)) - 3) / -2
        assert limit == pytest.approx(exact, abs=0.1) if exact > 0 else limit == NEVER


def one_by_one(model, layer, states, start, count):
    """The guesses of one round that begins at position `start`, token by token with a cache."""
    heads, key_heads, size = layer.linears.heads
    keys, values, state = [], [], None

    def row(position, state):
        x = layer.fc(torch.cat([states.layers[0][0, position], state]))
        qkv = F.linear(x, layer.linears.qkv).view(1, 1, heads + 2 * key_heads, size)
        tables = (layer.cosine[position], layer.sine[position])
        turned = Rotation.apply(qkv[:, :, : heads + key_heads], *tables)[0, 0]
        keys.append(turned[heads:].repeat_interleave(heads // key_heads, 0))
        values.append(qkv[0, 0, heads + key_heads :].repeat_interleave(heads // key_heads, 0))
        scores = (torch.stack(keys) * turned[:heads]).sum(-1) * size**-0.5
        mixed = (scores.softmax(0)[..., None] * torch.stack(values)).sum(0).flatten()
        x = x + F.linear(mixed, layer.linears.output)
        gate, up = F.linear(layer.norm(x), layer.linears.gate_up).chunk(2)
        return x + F.linear(F.silu(gate) * up, layer.linears.down)

    for position in range(1, start + 1):
        state = row(position, states.final[0, position - 1])
    made = [state]
    for step in range(1, count):
        made.append(row(start + step, made[-1]))
    return [model.logits(one) for one in made]


def test_guesses_in_a_row_are_those_of_a_round(model):
    torch.manual_seed(11)
    layer, states = DraftLayer(model), some_states(model, rows=1, length=12)
    for weight in layer.parameters():
        weight.data.add_(torch.randn_like(weight) * 0.1)
    with torch.no_grad():
        rolled = roll_out(model, layer, states, 4)
        for start in (1, 2, 5):
            for step, logits in enumerate(one_by_one(model, layer, states, start, 4)):
                torch.testing.assert_close(rolled[step][0, start - 1 + step], logits, rtol=1e-4, atol=1e-4)


def test_a_draft_layer_learns_to_guess(model, corpus, tmp_path):
    settings = short(corpus, 150, 3e-3)
    before = acceptance(model, DraftLayer(model), settings, 3)
    layer = train_draft(model, 3, settings, tmp_path)
    figures = acceptance(model, layer, settings, 3)
    assert figures["agreement"][0] > before["agreement"][0] + 0.2
    assert figures["accepted"] == sorted(figures["accepted"], reverse=True)
    assert figures["accepted"][0] == figures["agreement"][0] and figures["accepted"][2] <= figures["agreement"][2]
    export_draft(model, layer, figures, tmp_path / "draft")
    tensors = load_file(tmp_path / "draft" / "model.safetensors")
    size = model.config.model.hidden_size
    assert tensors["fc.weight"].shape == (size, 2 * size) and "layers.0.self_attn.k_proj.weight" in tensors
    states, back = some_states(model), read_draft(model, tmp_path / "draft")
    for one, other in zip(roll_out(model, layer, states, 2), roll_out(model, back, states, 2), strict=True):
        assert torch.equal(one, other)


def test_features_by_hand(model):
    states = some_states(model, rows=1, length=5)
    candidates = from_exit(model, 2)(states)
    samples = samples_of(model, states, candidates)
    assert samples.features.shape == (4, 5, 12)
    row, layer = 2, 3
    shares = []
    for number in (layer, layer + 1):
        logits = model.logits(model.final_norm(states.layers[number][0, row + 1]))
        shares.append(logits[candidates[0, row]].softmax(0))
    expected = torch.cat([logits[candidates[0, row]], shares[1], shares[1] - shares[0]])
    torch.testing.assert_close(samples.features[row, layer], expected, rtol=1e-4, atol=1e-5)
    first = samples.features[row, 0]
    assert torch.equal(first[4:8], first[8:])
    best = model.logits(states.final[0, row + 1]).argmax()
    assert samples.right[row, layer] == (logits.argmax() == best)
    assert samples.known[row, 1].all() and samples.known[row, layer] == (logits.argmax() in candidates[0, row])


def test_predictors_learn_a_rule():
    torch.manual_seed(3)
    features = torch.randn(3000, 2, 12)
    right = torch.stack([features[:, 0, 4] > 0, features[:, 1, 0] + features[:, 1, 8] < 0], dim=1)
    samples = Samples(features, right, torch.ones_like(right))
    settings = Settings(None, learning_rate=3e-3)
    predictors = train_predictors(samples, 5, settings)
    assert ((predictors.scores(features) > 0.5) == right).float().mean() > 0.95
    exits = dry_run(predictors, samples, 0.5)
    assert (exits.layer == 2).float().mean() == pytest.approx(0.25, abs=0.05) and exits.right.float().mean() > 0.9
    samples.known[:, 0] = False
    assert (dry_run(predictors, samples, 0.5).layer > 0).all()
    assert (dry_run(predictors, samples, 0.5, probed=[0]).layer == 2).all()


def test_offline_layers_are_the_frequent_ones():
    exits = Exits(torch.tensor([1, 1, 1, 3, 3, 2, 5, 5, 5, 5]), None)
    assert offline_layers(exits, 6, 2) == [1, 3] and offline_layers(exits, 6, 9) == [1, 2, 3]


def test_the_commands(trained, corpus, tmp_path, capsys):
    common = ["--corpus", corpus, "--batch", 2, "--sequence", 32, "--windows", 8]
    few = [*common, "--steps", 4]

    def run(name, *words):
        status = main([str(one) for one in (name, "--run", trained, "--out", tmp_path / name, *words)])
        return status, capsys.readouterr()

    assert run("exit-heads", *few, "--exits", 2)[0] == 0
    tensors = torch.load(tmp_path / "exit-heads" / "aux_heads.pt", weights_only=True)
    assert set(tensors) == {f"{one}.{name}.weight" for one in (0, 1) for name in ("norm", "linear")}
    described = json.loads((tmp_path / "exit-heads" / "config.json").read_text())
    assert described["head_layer_indices"] == [2, 4] and described["num_heads"] == 2
    calibrated = json.loads((tmp_path / "exit-heads" / "calibration.json").read_text())
    assert set(calibrated["thresholds"]["0.90"]) == {"0", "1"} and calibrated["uncertainty_metric"] == "entropy"

    assert run("draft-layer", *few)[0] == 0
    predicted = ["exit-predictors", *common, "--samples", 200, "--epochs", 1]
    status, said = run(*predicted)
    assert status == 2 and "one of them" in said.err
    assert run(*predicted, "--draft", tmp_path / "draft-layer")[0] == 0
    files = sorted((tmp_path / "exit-predictors").glob("predictor-*.safetensors"))
    tensors = load_file(files[4])
    assert len(files) == 5 and tensors["fc1.weight"].shape == (512, 12) and tensors["fc2.bias"].shape == (1,)
    figures = json.loads((tmp_path / "exit-predictors" / "predictors.json").read_text())
    assert sum(figures["every_layer"]["exits_per_layer"]) == figures["samples"] == 8 * 31
    assert run(*predicted, "--candidates-at", 2)[0] == 0
    status, said = run(*predicted, "--candidates-at", 6)
    assert status == 2 and "from 1 to 5" in said.err
