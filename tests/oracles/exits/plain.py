"""The model without exits: the text that lossless systems must repeat."""

from .model import Model
from .record import Margins, Record


def first_token(model: Model, prompt: list[int], record: Record, margins: Margins):
    """The prompt at full depth and the token that follows it, which no system tests; the prompt's rows are returned."""
    record.cache = model.cache()
    rows = model.prompt(prompt, record.cache)
    record.wrote(margins.best(model.logits(rows[-1])), model.shape.layers)
    return rows


def plain(model: Model, prompt: list[int], count: int, settings: dict, margins: Margins):
    record = Record()
    first_token(model, prompt, record, margins)
    while len(record.tokens) < count:
        yield
        position = len(prompt) + len(record.tokens) - 1
        row = model.run(model.embed(record.tokens[-1:]), [position], record.cache)
        record.wrote(margins.best(model.logits(row[0])), model.shape.layers)
    return record
