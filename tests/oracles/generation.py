"""Writes tests/texts/generation.json: what transformers takes from a generation_config.json.

    pip install transformers
    python tests/oracles/generation.py

Each file lies beside a config.json with an end of its own. What is written is what `generate` would go by: the file's
settings, and transformers' own where it has none (`_prepare_generation_config`).
"""

import json
import pathlib
import tempfile

from transformers import GenerationConfig

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "texts"

FILES = [
    {}, {"eos_token_id": None}, {"eos_token_id": 257}, {"eos_token_id": [256, 257]}, {"eos_token_id": []}, {"eos_token_id": [-1, 3]},
    {"_from_model_config": True, "eos_token_id": 2, "transformers_version": "4.40.0"}, {"eos_token_id": 9000000},
    {"do_sample": True}, {"do_sample": False}, {"do_sample": None}, {"temperature": 0.6, "top_p": 0.9},
    {"do_sample": True, "temperature": 0.6, "top_p": 0.9}, {"do_sample": True, "temperature": 0.7, "top_k": 20, "top_p": 0.8, "repetition_penalty": 1.05},
    {"do_sample": True, "top_k": 0}, {"do_sample": True, "min_p": 0.05, "top_k": 64}, {"do_sample": False, "temperature": 0.6, "repetition_penalty": 1.2},
    {"repetition_penalty": 1.3}, {"do_sample": True, "temperature": 1.0, "top_k": 50, "top_p": 1.0},
]


def effective(file):
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "config.json").write_text(json.dumps({"model_type": "llama", "eos_token_id": 256}))
        pathlib.Path(folder, "generation_config.json").write_text(json.dumps(file))
        own = GenerationConfig.from_pretrained(folder)
    config = GenerationConfig()
    config.update(**own.to_dict(), defaults_only=True, allow_custom_entries=True)
    config.update(**GenerationConfig._get_default_generation_params(), defaults_only=True)
    ends = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
    # A number that no token has is compared with all tokens and equals none.
    ends = [] if config.eos_token_id is None else [end for end in ends if 0 <= end < 2**32]
    drawn = {"temperature": config.temperature, "top_k": config.top_k, "top_p": config.top_p, "min_p": config.min_p or 0.0}
    return {"ends": ends, "draws": config.do_sample, "repetition_penalty": config.repetition_penalty, **(drawn if config.do_sample else {})}


cases = [{"file": json.dumps(file), "effective": effective(file)} for file in FILES]
(FOLDER / "generation.json").write_text(json.dumps(cases, indent=1) + "\n")
print(len(cases), "files")
