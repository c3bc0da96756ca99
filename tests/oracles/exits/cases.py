"""The cases: which systems run with which settings on the prompts, and how a case is run."""

from dataclasses import dataclass

from . import calm, eellm, free, layerskip, plain, specee, valade
from .model import Model
from .record import Margins, Record, in_turns

SYSTEMS = {
    "plain": plain.plain, "free": free.free, "calm": calm.calm, "specee": specee.specee, "valade": valade.unchecked,
    "dssd": valade.checked, "layerskip": layerskip.layerskip, "eellm": eellm.eellm,
}  # fmt: skip
CALM = {"probes": [2, 4, 6], "decay": 4.0, "length": 40}
SPECEE = {"candidates": 4, "threshold": 0.5, "window": 5, "around": [-2, 0, 2]}


@dataclass(frozen=True)
class Case:
    """`layers`: of these the keys and values of one text are kept."""

    system: str
    name: str
    settings: dict
    layers: tuple[int, ...] = ()


CASES = [
    Case("plain", "plain", {}, (0, 7)),
    Case("free", "low", {"shallow": 3, "threshold": 0.5}, (2, 3, 7)),
    Case("free", "high", {"shallow": 4, "threshold": 0.9}, (7,)),
    Case("free", "bound", {"shallow": 3, "threshold": 0.3, "bound": 3}, (7,)),
    Case("free", "rollback", {"shallow": 4, "threshold": 0.4, "rollback": 3.0}, (3, 7)),
    Case("free", "adaptive", {"shallow": 2, "threshold": 0.8, "adaptive": "pending"}, (7,)),
    Case("free", "adaptive_all", {"shallow": 2, "threshold": 0.8, "adaptive": "all"}),
    Case("calm", "softmax_diff", {"measure": "softmax_diff", "threshold": 0.8, **CALM}, (3, 7)),
    Case("calm", "softmax_max", {"measure": "softmax_max", "threshold": 0.7, **CALM}, (7,)),
    Case("calm", "state", {"measure": "state", "threshold": 0.88, **CALM}, (7,)),
    Case("calm", "meta", {"measure": "meta", "threshold": 0.7, **CALM}, (7,)),
    Case("calm", "together", {"measure": "softmax_diff", "threshold": 0.2, **CALM, "together": True}, (7,)),
    Case("specee", "scheduled", {**SPECEE, "offline": [4, 6]}, (2, 5, 6)),
    Case("specee", "offline", {**SPECEE, "offline": [0, 1, 2, 3, 4, 5, 6], "window": 0}, (6,)),
    Case("valade", "holes", {"thresholds": {"3": 0.4, "5": 0.6, "7": 0.8}, "keys": "holes"}, (4, 6)),
    Case("valade", "propagated", {"thresholds": {"3": 0.4, "5": 0.6, "7": 0.8}, "keys": "propagated"}, (4, 6)),
    Case("dssd", "three_exits", {"thresholds": {"3": 0.4, "5": 0.6, "7": 0.8}, "drafts": 5}),
    Case("dssd", "one_disabled", {"thresholds": {"3": None, "5": 2.0, "7": 1.0}, "drafts": 3}),
    Case("layerskip", "checked", {"shallow": 5, "drafts": 3}),
    Case("layerskip", "checked_shallow", {"shallow": 2, "drafts": 2}),
    Case("layerskip", "unchecked", {"shallow": 5, "drafts": 0}),
    Case("eellm", "shared", {"threshold": 0.8, "probes": [2, 4, 6], "heads": "shared"}, (7,)),
    Case("eellm", "bound", {"threshold": 0.5, "probes": [2, 4, 6], "heads": "shared", "bound": 2}, (7,)),
    Case("eellm", "own", {"threshold": 0.7, "probes": [3, 5, 7], "heads": "own"}, (7,)),
]


def probes(case: Case, layers: int) -> list[int]:
    """Depths at which a confidence may be measured."""
    if case.system == "free":
        return [case.settings["shallow"]]
    if case.system == "specee":
        return list(range(1, layers))
    if case.system in ("valade", "dssd"):
        return [int(depth) for depth in case.settings["thresholds"]]
    return case.settings.get("probes", [])


def run(model: Model, case: Case, prompts: list, counts: list[int], margins: Margins) -> tuple[list[Record], dict]:
    """All texts of a case, and what is kept of the case as a whole. They run side by side unless one learns of another."""
    if case.settings.get("together"):
        return calm.together(model, prompts, counts, case.settings, margins), {}
    system = SYSTEMS[case.system]
    if not case.settings.get("adaptive"):
        pairs = zip(prompts, counts)
        return in_turns([system(model, prompt, count, case.settings, margins) for prompt, count in pairs]), {}
    threshold, records = free.Threshold(case.settings, margins), []
    for prompt, count in zip(prompts, counts):
        records += in_turns([free.free(model, prompt, count, case.settings, margins, threshold)])
    return records, {"fits": threshold.fits}
