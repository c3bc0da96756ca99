"""Writes the checkpoints of this folder, and the same tensors as safetensors: `python make.py` (torch, safetensors)."""

import argparse
import collections
import os
import zipfile

import torch
from safetensors.torch import save_file

os.chdir(os.path.dirname(os.path.abspath(__file__)))
torch.manual_seed(7)

base = torch.randn(6, 4)
tensors = {
    "plain": torch.randn(3, 5),
    "half": torch.randn(4).half(),
    "bfloat16": torch.randn(2, 3).bfloat16(),
    "scalar": torch.tensor(0.5),
    "empty": torch.zeros(0, 4),
    "transposed": base.t(),
    "slice": base[2:5, 1:3],
    "every_second": base[::2],
    "tied": base,
}
save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, "twin.safetensors")

state = collections.OrderedDict(tensors)
state["parameter"] = torch.nn.Parameter(tensors["plain"])
state["counts"] = torch.arange(3)
state._metadata = collections.OrderedDict({"": {"version": 1}})
torch.save(state, "state_dict.bin")
torch.save({"step": 7, "rate": 0.5, "lists": [1, [2, (None, True)]], "model_state_dict": tensors}, "nested.bin")
torch.save(tensors, "protocol_4.bin", pickle_protocol=4)
torch.save(tensors, "legacy.bin", _use_new_zipfile_serialization=False)
with zipfile.ZipFile("state_dict.bin") as stored, zipfile.ZipFile("deflated.bin", "w", zipfile.ZIP_DEFLATED) as deflated:
    for name in stored.namelist():
        deflated.writestr(name, stored.read(name))


class Command:
    def __reduce__(self):
        return os.system, ("echo this must never run",)


torch.save({"weight": tensors["plain"], "args": argparse.Namespace(rate=1)}, "namespace.bin")
torch.save({"weight": tensors["plain"], "bad": Command()}, "command.bin")
torch.save({"weight": torch.zeros(1).expand(1000)}, "expanded.bin")
torch.save([1, 2], "no_dict.bin")
torch.save({"optimizer": {"step": 1}}, "no_tensors.bin")
