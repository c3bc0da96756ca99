"""The engine's folder as the start of a run."""

import json

import pytest
import torch

from isobath_train.config import LoraConfig, RecursionConfig, RouterConfig, config_from_dict
from isobath_train.export import export_folder
from isobath_train.folder import read_folder, read_start
from isobath_train.model import Model


def variants():
    yield {}
    yield {"router": RouterConfig(kind="token", function="sigmoid", alpha=0.5, bias=True)}
    yield {"router": None}
    yield {"router": None, "lora": LoraConfig(3, 0.5, ["q_proj", "up_proj"])}
    yield {"router": None, "recursion": RecursionConfig(3, "middle_cycle", share_norms=False), "lora": LoraConfig(99)}
    yield {"router": None, "recursion": None}


@pytest.mark.parametrize("change", list(variants()))
def test_what_is_exported_is_read_back(tiny, tmp_path, corpus, change):
    for part, value in change.items():
        setattr(tiny, part, value)
    model = Model(tiny)
    export_folder(model, tiny, tmp_path / "f32", "f32", corpus / "tokenizer.json")
    found = read_start(tmp_path / "f32")
    assert found["config"]["model"]["hidden_size"] == tiny.model.hidden_size
    assert set(found["model"]) == set(model.state_dict())
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, found["model"][name]), name
    tokens = torch.arange(30).view(2, 15)
    made = Model(config_from_dict(found["config"]))
    made.load_state_dict(found["model"])
    with torch.no_grad():
        assert torch.equal(made.eval()(tokens).hidden, model.eval()(tokens).hidden)


def test_what_cannot_be_trained_is_refused(tiny, tmp_path, corpus):
    export_folder(Model(tiny), tiny, tmp_path, "q8_0", corpus / "tokenizer.json")
    with pytest.raises(ValueError, match="quantised"):
        read_folder(tmp_path)
    export_folder(Model(tiny), tiny, tmp_path, "f32", corpus / "tokenizer.json")
    path = tmp_path / "config.json"
    values = json.loads(path.read_text())
    values["isobath"]["recursion"]["share_attention"] = False
    path.write_text(json.dumps(values))
    with pytest.raises(ValueError, match="share_attention"):
        read_folder(tmp_path)
