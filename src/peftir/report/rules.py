"""What the rules of the claims have in common: the variants that they are about, and what they answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from peftir.report.answers import Answer
from peftir.report.evidence import Evidence, Figures
from peftir.report.study import StageResults

SMALL = 0.01
"""The first two claims are about methods that train less than this share of the weights."""

Beside = Sequence[tuple[StageResults, Figures]]
"""The same stage of other studies, with figures of learning whose tests are corrected together."""


@dataclass(frozen=True)
class StageAnswer:
    """The answer of one stage to a claim, with its evidence."""

    answer: Answer
    evidence: Evidence


def existing(stage: StageResults) -> list[str]:
    """The methods other than IAA and full fine-tuning that train less than ``SMALL``."""
    return [name for name in stage.small if stage.kinds[name] != "iaa" and stage.weights(name).share < SMALL]


def iaa(stage: StageResults) -> list[str]:
    """The variants of IAA."""
    return [name for name in stage.small if stage.kinds[name] == "iaa"]


def comparable_iaa(stage: StageResults) -> tuple[list[str], list[str]]:
    """The variants of IAA with other methods of the same budget, and notes on those without."""
    alone = [name for name in iaa(stage) if not stage.peers(name)]
    notes = [f"{name} is left out: no other method trains about as many weights." for name in alone]
    return [name for name in iaa(stage) if name not in alone], notes


def lacking(needed: dict[str, object]) -> StageAnswer | None:
    """The answer "not decided" if a value of ``needed``, by its name, is missing; else ``None``."""
    missing = [name for name, value in needed.items() if not value]
    return cannot(f"There is no {' and no '.join(missing)} to compare.") if missing else None


def undecided(answer: Answer, reasons: Iterable[tuple[str, str]]) -> list[str]:
    """A note on why ``answer`` is not decided, from pairs of a comparison and a reason; else no note."""
    by_reason: dict[str, list[str]] = {}
    for comparison, reason in reasons:
        by_reason.setdefault(reason, []).append(comparison)
    text = "; ".join(f"{', '.join(names)} ({reason})" for reason, names in by_reason.items())
    return [f"Undecided: {text}."] if answer is None and text else []


def cannot(why: str) -> StageAnswer:
    """The answer "not decided", with a note on the reason."""
    return StageAnswer(None, Evidence(notes=[why]))
