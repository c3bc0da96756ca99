"""Sharing maps, and recursive models that are made from trained ones."""

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from isobath_train.config import LINEARS, Config, LoraConfig, ModelConfig, RecursionConfig
from isobath_train.initialise import STRATEGIES, convert, group_sources, matrix
from isobath_train.model import Model
from isobath_train.official import load_official, official_config, read_weights
from isobath_train.sharing import picked_layers, sharing_map

GOLDEN = Path(os.environ.get("ISOBATH_GOLDEN_HOME", Path(__file__).parents[2] / "tests" / "golden"))


@pytest.mark.parametrize(
    ("sharing", "layers", "unique", "recursion"),
    [
        ("cycle", 9, [0, 1, 2] * 3, [0, 0, 0, 1, 1, 1, 2, 2, 2]),
        ("sequence", 9, [0, 0, 0, 3, 3, 3, 6, 6, 6], [0, 1, 2] * 3),
        ("middle_cycle", 8, [0, 1, 2, 1, 2, 1, 2, 7], [None, 0, 0, 1, 1, 2, 2, None]),
        ("middle_sequence", 8, [0, 1, 1, 1, 4, 4, 4, 7], [None, 0, 1, 2, 0, 1, 2, None]),
    ],
)
def test_maps(sharing, layers, unique, recursion):
    found = sharing_map(sharing, layers, 3)
    assert (found.unique, found.recursion) == (unique, recursion)


def test_layers_that_do_not_divide():
    with pytest.raises(ValueError, match="do not split"):
        sharing_map("cycle", 8, 3)
    assert picked_layers("cycle", 8, 3) == [0, 1, 3, 4, 6, 7]
    # Halves go to the even number: 5.5 -> 6 and so on.
    assert picked_layers("middle_cycle", 30, 3)[:3] == [0, 1, 2]
    assert len(picked_layers("middle_cycle", 30, 3)) == 29


def test_sources():
    middle = sharing_map("middle_cycle", 8, 3)
    assert group_sources("stepwise", middle) == [[0], [1], [6], [7]]
    assert group_sources("lower", middle) == [[0], [1], [2], [7]]
    assert group_sources("upper", middle) == [[0], [5], [6], [7]]
    assert group_sources("average", middle) == [[0], [1, 3, 5], [2, 4, 6], [7]]
    assert group_sources("stepwise", sharing_map("sequence", 9, 3)) == [[0], [4], [8]]


def small(layers=6, **parts):
    model = ModelConfig(
        vocab_size=50, hidden_size=24, intermediate_size=40, num_hidden_layers=layers, num_attention_heads=3,
        num_key_value_heads=1, head_dim=8, initializer_range=0.2,
    )  # fmt: skip
    return Config(model=model, **parts)


TOKENS = torch.arange(40).view(2, 20) % 50


@pytest.mark.parametrize("strategy", STRATEGIES)
@torch.no_grad()
def test_full_rank_adapters_give_the_untied_model(strategy):
    torch.manual_seed(3)
    source = Model(small())
    config = small(recursion=RecursionConfig(2, "middle_cycle"), lora=LoraConfig(rank=99))
    model = convert(source, config, strategy)
    assert len(model.linears) == 4
    assert (model(TOKENS).hidden - source(TOKENS).hidden).abs().max() < 1e-4
    apart = convert(source, config, strategy, adapters="zero")
    assert (apart(TOKENS).hidden - source(TOKENS).hidden).abs().max() > 0.1


@torch.no_grad()
def test_higher_ranks_come_closer():
    torch.manual_seed(4)
    source, distances = Model(small()), []
    for rank in (1, 6, 20):
        config = small(recursion=RecursionConfig(3, "cycle"), lora=LoraConfig(rank=rank))
        model = convert(source, config, "average")
        adapter = model.adapters["2"]["q_proj"]
        lost = matrix(source.linears["2"], "q_proj") - matrix(model.linears["0"], "q_proj")
        distances.append(float((lost - adapter.b @ adapter.a).norm()))
    assert distances[0] > distances[1] > distances[2]


@torch.no_grad()
def test_norms_of_their_own_and_picked_layers():
    torch.manual_seed(5)
    source = Model(small(layers=7))
    for number, norms in source.norms.items():
        norms.attention.weight.fill_(float(number))
    config = small(layers=6, recursion=RecursionConfig(3, "cycle", share_norms=False))
    model = convert(source, config, "stepwise")
    picked = picked_layers("cycle", 7, 3)
    assert [float(norms.attention.weight[0]) for norms in model.norms.values()] == [float(one) for one in picked]


@pytest.mark.parametrize("name", ["var_rrt_cycle_step_lora_r4", "var_rrt_cycle_lower_lora_r4_alpha2"])
@torch.no_grad()
def test_conversion_equals_the_released_code(name):
    case = GOLDEN / name
    if not (case / "pretrained_untied.safetensors").is_file():
        pytest.skip("the untied model is in the full set of vectors alone; name that in ISOBATH_GOLDEN_HOME")
    settings = json.loads((case / "config.json").read_text())
    untied = load_file(case / "pretrained_untied.safetensors")
    plain = official_config({**settings, "recursive": {"enable": False}}, "lm_head.weight" not in untied, None)
    source = load_official(plain, untied)
    config = official_config(settings, False, 4)
    scale, config.lora.scale = config.lora.scale, 1.0
    strategy = settings["recursive"]["initialization"]
    ours, theirs = convert(source, config, strategy), load_official(config, read_weights(case))
    assert scale == (2.0 if "alpha2" in name else 1.0)
    for unique, linears in ours.linears.items():
        for one, other in zip(linears.parameters(), theirs.linears[unique].parameters(), strict=True):
            assert torch.equal(one, other)
    for layer, adapters in ours.adapters.items():
        for linear in LINEARS:
            one, other = adapters[linear], theirs.adapters[layer][linear]
            assert (one.b @ one.a - other.b @ other.a).abs().max() < 1e-4
