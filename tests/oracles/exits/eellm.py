"""EE-LLM: several exits by the largest probability; tokens that left early are fed again until a pass reaches the top.

Settings: `threshold` (0: always, 1: never), `probes` (depths), `heads` ("shared": the model's norm and head, or "own"),
and, where wanted, `bound`: so many tokens may wait; the next pass has no tests.
"""

import numpy as np

from .model import Model, log_sum
from .plain import first_token
from .record import Margins, Record
from .valade import head


def log_largest(logits: np.ndarray) -> float:
    return float(logits.max()) - log_sum(logits)


def fires(found: float, threshold: float, margins: Margins) -> bool:
    """Whether the logarithm of the largest probability is enough."""
    if threshold in (0, 1):
        return threshold == 0
    return margins.at_least(found, float(np.log(threshold)))


def eellm(model: Model, prompt: list[int], count: int, settings: dict, margins: Margins):
    """`rows`: of each pass; `complete`: how many positions have keys and values in all layers at the end."""
    record = Record()
    first_token(model, prompt, record, margins)
    complete, sizes = len(prompt), []
    while len(record.tokens) < count:
        yield
        text = [*prompt, *record.tokens]
        rows, positions = model.embed(text[complete:]), np.arange(complete, len(text))
        sizes.append(len(rows))
        tests = len(rows) - 1 != settings.get("bound")
        seen, leaves = {}, False
        for depth in range(1, model.shape.layers + 1):
            rows = model.run(rows, positions, record.cache, depth - 1, depth)
            if tests and depth in settings["probes"]:
                logits = head(model, depth, rows[-1]) if settings["heads"] == "own" else model.logits(rows[-1])
                seen[depth] = log_largest(logits)
                leaves = fires(seen[depth], settings["threshold"], margins)
                if leaves:
                    break
        if not leaves:
            logits, complete = model.logits(rows[-1]), len(text)
        record.wrote(margins.best(logits), depth, seen)
    record.more |= {"rows": sizes, "complete": complete}
    return record
