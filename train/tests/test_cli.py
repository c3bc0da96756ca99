"""The commands, from a trained model to a plot, as a user types them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from isobath_train.cli import main
from isobath_train.config import read_config

HOME = Path(__file__).parents[1]


@pytest.fixture
def run(capsys):
    """Runs a command in this process; gives what it printed, or what it complained of where it should fail."""

    def run_command(*words, fails=False):
        status = main([str(one) for one in words])
        printed = capsys.readouterr()
        assert (status != 0) == fails, printed.err
        return printed.err if fails else printed.out

    return run_command


def settings(path, corpus, body):
    vocabulary = json.loads((corpus / "meta.json").read_text())["vocab_size"]
    path.write_text(
        f"[model]\nvocab_size = {vocabulary}\nhidden_size = 32\nintermediate_size = 64\nnum_hidden_layers = 6\n"
        f"num_attention_heads = 2\nnum_key_value_heads = 1\nhead_dim = 16\n{body}"
        "[train]\nsteps = 12\nsequence = 32\nbatch = 4\nmicro_batch = 4\nwarmup_steps = 2\nevaluate_windows = 4\n"
        "log_every = 4\nkeep_every = 8\n"
    )
    return path


@pytest.mark.parametrize("name", ["mor", "recursive", "vanilla", "exits", "exits_end", "relaxed", "tiny"])
def test_configs_are_valid(name):
    config = read_config(HOME / "configs" / f"{name}.toml")
    assert config.train.sequence <= config.model.max_position_embeddings <= 512


def test_from_training_to_plot(tmp_path, corpus, run):
    vanilla, relaxed = tmp_path / "vanilla", tmp_path / "relaxed"
    plain = settings(tmp_path / "vanilla.toml", corpus, "")
    run("train", "--config", plain, "--corpus", corpus, "--out", vanilla, "--stop-at-step", 5)
    assert "add --resume" in run("train", "--config", plain, "--out", vanilla, fails=True)
    assert "done" in run("train", "--resume", "--out", vanilla)
    branch = tmp_path / "branch"
    run("train", "--decay-from", vanilla / "kept" / "step-8.pt", "--decay-steps", 2, "--out", branch)

    shared = settings(
        tmp_path / "relaxed.toml", corpus, '[recursion]\ncount = 2\nsharing = "middle_cycle"\n[lora]\nrank = 2\n'
    )
    made = tmp_path / "made.pt"
    run("convert", "--run", vanilla, "--config", shared, "--strategy", "average", "--rank", 99, "--out", made)
    judged = [json.loads(run("evaluate", "--run", one, "--windows", 8)) for one in (vanilla, made)]
    # At full rank nothing is lost but what the shared norms differ, which is little after 12 steps.
    assert judged[0]["loss"] == pytest.approx(judged[1]["loss"], abs=0.02)
    run("train", "--config", shared, "--init", made, "--corpus", corpus, "--out", relaxed)

    run("export", "--run", relaxed, "--out", tmp_path / "folder", "--dtype", "q8_0")
    assert json.loads((tmp_path / "folder" / "config.json").read_text())["isobath"]["lora"] == {"scale": 1.0}
    assert "One day" in run("sample", "--run", relaxed, "--prompt", "One day", "--tokens", 5, "--temperature", 0.8)
    for ending in ("svg", "png"):
        run("plot", vanilla, branch, relaxed, "--out", tmp_path / f"loss.{ending}", "--axis", "flops")
        assert (tmp_path / f"loss.{ending}").stat().st_size > 5000


def test_errors_are_sentences(tmp_path, run):
    assert "is not there" in run("train", "--config", HOME / "configs" / "tiny.toml", "--corpus", tmp_path, "--out",
                                 tmp_path / "run", fails=True)  # fmt: skip
    (tmp_path / "wrong.toml").write_text("[model]\nhidden = 3\n")
    assert "unknown setting" in run("train", "--config", tmp_path / "wrong.toml", "--out", tmp_path / "run", fails=True)


def test_a_signal_saves_first(tmp_path, corpus):
    path = settings(tmp_path / "long.toml", corpus, "")
    path.write_text(path.read_text().replace("steps = 12", "steps = 100000"))
    options = ["--config", path, "--corpus", corpus, "--out", tmp_path / "run"]
    command = [sys.executable, "-m", "isobath_train", "train", *map(str, options)]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=HOME)
    for line in started.stdout:
        if line.startswith("step"):
            started.terminate()
            break
    said = started.stdout.read()
    assert started.wait(timeout=600) == 0 and "go on with --resume" in said
    assert (tmp_path / "run" / "checkpoint.pt").is_file()
