"""Tables and pictures of depth, from a few made-up tokens."""

import json

from isobath_train.depth import explained, group, read_tokens, write


def lines(tmp_path):
    def token(place, text, depth):
        at_depth = {str(one): -1.0 / one for one in (1, 2, 3)}
        one = {"window": place // 6, "position": place % 6 + 1, "text": text, "depth": depth, "entropy": 0.2 * place}
        return {**one, "log_probability": -1.0 / depth, "at_depth": at_depth, "scores": [1.0]}

    texts = [" a", " cat", ".", "\n", " a", " <&>", " a", " cat", " 7", " a", " cat", "<|endoftext|>"]
    tokens = [token(place, text, 1 + place % 3) for place, text in enumerate(texts)]
    path = tmp_path / "tokens.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in tokens))
    return path


def test_a_token_s_depth_is_that_of_the_token_before_it(tmp_path):
    tokens = read_tokens(lines(tmp_path))
    assert [one["input"] for one in tokens[:3]] == [None, " a", " cat"] and tokens[6]["input"] is None
    rows = {row[0]: row for row in group(tokens, lambda one: str(one["depth"]))}
    assert rows["2"][1:4] == (4, 2.0, 0.5) and rows["2"][4:] == (1.0, 0.5, 1 / 3)
    assert explained(tokens, lambda one: str(one["depth"])) == 1.0
    assert abs(explained(tokens, lambda one: "all")) < 1e-12


def test_tables_and_pictures_are_written(tmp_path):
    ways = [("adaptive", 2.0), ({"fixed": 1}, 1.0), ({"fixed": 3}, 3.0), ({"threshold": 0.5}, 1.5), ("top_k", 2.0)]
    figures = tmp_path / "eval.json"
    figures.write_text(json.dumps({"figures": [{"way": way, "mean_depth": depth, "loss": 1.0} for way, depth in ways]}))
    told = write(figures, lines(tmp_path), tmp_path, 12)
    assert "| 2 | 4 | 2.00 | 0.500 | 1.000 | 0.500 | 0.333 |" in told and "digits" in told
    text = (tmp_path / "depth_text.svg").read_text()
    assert "&lt;&amp;&gt;" in text and text.count("<rect") == 1 + 3 + 10
    assert (tmp_path / "depth_curve.svg").stat().st_size > 1000
