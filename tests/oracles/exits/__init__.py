"""Early exit on a small Llama, written from the papers' rules with numpy alone; see `tests/oracles/exits.py`."""
