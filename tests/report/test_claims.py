"""The paper's claims on studies made so that they hold, that they do not, and that nothing can be said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import numpy as np
import pytest
from scipy import stats

from peftir.report.claims import Claim, claims
from peftir.report.evidence import ReportedValue
from peftir.report.reading import read_study
from peftir.study.params import Params
from synthetic_study import make_params, write_study

SEEDS = [1, 2, 3]
VARIANTS = ["full", "lora", "adapter", "iaa_l"]
QUERIES = 200
# What each row has more than full fine-tuning in every measure.
AS_IN_THE_PAPER = {"full": 0.0, "lora": -0.06, "adapter": -0.07, "iaa_l": 0.0}
ALL_ALIKE = dict.fromkeys(VARIANTS, 0.0)


def study_of(folder: Path, more: dict[str, float], seeds: list[int] = SEEDS, noise: float = 0.01) -> Any:
    """Retrieval and re-ranking of a study in which variants differ by ``more``, but for some noise."""
    params: Params = make_params(
        folder,
        variants={"retriever": VARIANTS, "reranker": VARIANTS},
        seeds={"retriever": seeds, "reranker": seeds},
        measures={"retrieval": ["RR@10"], "reranking": ["RR@10"]},
    )
    hard = np.random.default_rng(0).uniform(0.2, 0.8, QUERIES)

    def values(task: str, row: str, seed: int, measure: str) -> list[float]:
        random = np.random.default_rng([seed + 1, *(ord(letter) for letter in task + row)])
        return list(hard + more.get(row.removesuffix("+bm25"), -0.1) + random.normal(0, noise, QUERIES))

    write_study(folder, params, values)
    study = read_study(folder, params)
    return [study.retrieval, study.reranking]


def learning(
    auc: dict[str, float], swing: dict[str, float], sharpness: dict[str, float], number: int = 3
) -> dict[str, Any]:
    """Figures of learning with a little noise over the seeds, the same for both stages."""
    random = np.random.default_rng(0)

    def seeds(value: float) -> list[float]:
        noise = random.uniform(-0.001, 0.001, number)
        return list(value + noise - noise.mean())

    figures = {
        name: {
            "auc": seeds(auc[name]),
            "oscillation": seeds(swing[name]),
            "sharpness": seeds(sharpness[name]),
            "steps_to": {"0.95": [20, 30, None]},
        }
        for name in VARIANTS
    }
    return {"retrieval": figures, "reranking": figures}


FAST = {"full": 0.6, "lora": 0.5, "adapter": 0.5, "iaa_l": 0.58}
STEADY = {"full": 0.1, "lora": 0.3, "adapter": 0.3, "iaa_l": 0.2}
SHARP = {"full": 9.0, "lora": 8.0, "adapter": 8.0, "iaa_l": 5.0}
LEARNED = learning(FAST, STEADY, SHARP)
LEARNED_ONCE = learning(FAST, STEADY, SHARP, number=1)
TURNED = learning(
    {name: 1 - value for name, value in FAST.items()}, STEADY, {n: 20 - v for n, v in SHARP.items()}
)


def chaos(sharpness: list[float | None]) -> dict[str, Any]:
    """Figures in which each variant is the best with one seed."""
    heights = [[0.1, 0.9, 0.5], [0.9, 0.5, 0.1], [0.5, 0.1, 0.9], [0.2, 0.8, 0.7]]
    return {
        name: {"auc": values, "oscillation": values, "sharpness": sharpness}
        for name, values in zip(VARIANTS, heights, strict=True)
    }


def answers(found: list[Claim]) -> list[bool | None]:
    return [claim.answer for claim in found]


def texts(values: list[ReportedValue]) -> list[str]:
    return [value.text for value in values]


def test_all_hold_where_everything_is_as_in_the_paper(tmp_path: Path) -> None:
    found = claims(study_of(tmp_path, AS_IN_THE_PAPER), LEARNED)
    assert answers(found) == [True] * 4
    short = found[0].by_task["retrieval"].evidence
    assert short.columns == ["RR@10 against full", "95 % interval", "p"]
    assert list(short.groups[""]) == ["lora", "adapter"]
    assert texts(short.groups[""]["lora"])[::2] == ["−0.060", "< 0.001"]
    slow = found[1].by_task["reranking"].evidence
    assert texts(slow.groups[""]["full"]) == ["0.600", "–", "20–30, 2 of 3", "0.100", "–", ANY]
    assert texts(slow.groups[""]["lora"])[:3] == ["0.500", "< 0.001", "20–30, 2 of 3"]
    best = found[2].by_task["retrieval"].evidence
    assert texts(best.groups[""]["iaa_l"])[:2] == ["lora", "+0.060"]
    smooth = found[3].by_task["retrieval"].evidence
    assert list(smooth.groups["Against iaa_l"]) == ["iaa_l", "lora", "adapter"]
    assert texts(smooth.groups["Against iaa_l"]["lora"])[::3] == ["0.500", "8.00"]


def test_none_holds_where_methods_are_alike_and_learn_the_other_way_round(tmp_path: Path) -> None:
    assert answers(claims(study_of(tmp_path, ALL_ALIKE), TURNED)) == [False] * 4


def test_nothing_is_decided_by_one_seed(tmp_path: Path) -> None:
    found = claims(study_of(tmp_path, AS_IN_THE_PAPER, seeds=[1]), LEARNED_ONCE)
    assert answers(found) == [None] * 4
    assert found[0].by_task["retrieval"].evidence.notes[-1] == "One seed gives no evidence about other seeds."


def test_nothing_is_decided_where_chance_is_larger_than_the_differences(tmp_path: Path) -> None:
    stages = study_of(tmp_path, AS_IN_THE_PAPER, noise=2.0)
    figures = chaos([1.0, 9.0, 5.0])
    assert answers(claims(stages, {"retrieval": figures, "reranking": figures})) == [None] * 4


def test_nothing_is_decided_where_full_fine_tuning_has_learned_nothing(tmp_path: Path) -> None:
    untrained = [
        replace(
            stage, models=stage.models | {"full": [replace(m, best_step=0) for m in stage.models["full"]]}
        )
        for stage in study_of(tmp_path, ALL_ALIKE)
    ]
    found = claims(untrained, LEARNED)
    assert answers(found) == [None] * 4
    assert found[0].by_task["retrieval"].evidence.notes[-1] == (
        "Training did not improve full on dev, so there is no baseline to compare with."
    )


def test_whatever_is_not_decided_says_why(tmp_path: Path) -> None:
    """With one seed, with noise, and without what a claim is about: each answer has its reason."""
    figures = chaos([1.0, None, None])
    stages = study_of(tmp_path, AS_IN_THE_PAPER, noise=2.0)
    found = claims(stages, {"retrieval": figures, "reranking": figures})
    reasons = [claim.by_task["retrieval"].evidence.notes[-1] for claim in found]
    assert reasons == [
        "Undecided: lora, adapter (not significant, and a difference above 0.01 is not excluded).",
        "Undecided: mean height of lora, mean height of adapter, oscillation of lora, oscillation of adapter "
        "(not significant over seeds).",
        ANY,
        "Undecided: mean height of iaa_l against lora, mean height of iaa_l against adapter (not significant "
        "over seeds); sharpness of iaa_l against lora, sharpness of iaa_l against adapter (no test with "
        "so few seeds).",
    ]
    assert reasons[2].startswith("Undecided: iaa_l against ")
    for claim in claims(study_of(tmp_path, AS_IN_THE_PAPER, seeds=[1]), LEARNED_ONCE):
        for stage in claim.by_task.values():
            assert stage.evidence.notes[-1] == "One seed gives no evidence about other seeds."
    for claim, missing in zip(
        claims([without(stage, "full", "iaa_l") for stage in stages], LEARNED),
        (
            "There is no full fine-tuning to compare.",
            "There is no full fine-tuning to compare.",
            "There is no full fine-tuning and no IAA and no other method of IAA’s budget to compare.",
            "There is no IAA and no other method of IAA’s budget to compare.",
        ),
        strict=True,
    ):
        assert claim.by_task["retrieval"].evidence.notes == [missing]


def without(stage: Any, *names: str) -> Any:
    """``stage`` of the other variants alone."""
    return replace(stage, variants=[name for name in stage.variants if name not in names], reference=None)


def test_a_kind_of_iaa_without_others_of_its_budget_is_left_out_of_both_rules(tmp_path: Path) -> None:
    """A second IAA, ten times as large, decides nothing: neither for the claim nor against it."""
    figures = {
        task: of | {"iaa_m": of["full"] | {"sharpness": [99.0, 99.1, 99.2]}} for task, of in LEARNED.items()
    }
    for more, learned, answer in (
        (AS_IN_THE_PAPER, figures, True),
        (
            ALL_ALIKE | {"iaa_l": -0.1},
            TURNED | {t: f | {"iaa_m": f["full"]} for t, f in TURNED.items()},
            False,
        ),
    ):
        stages = []
        for stage in study_of(tmp_path, more):
            weights = replace(stage.weights("iaa_l"), trained=1_000_000)
            large = [replace(model, weights=weights) for model in stage.models["iaa_l"]]
            both = {pair: found for pair, found in stage.comparisons["RR@10"].items() if "iaa_l" in pair}
            renamed = {
                tuple("iaa_m" if name == "iaa_l" else name for name in pair): found
                for pair, found in both.items()
            }
            stages.append(
                replace(
                    stage,
                    variants=[*stage.variants, "iaa_m"],
                    kinds=stage.kinds | {"iaa_m": "iaa"},
                    models=stage.models | {"iaa_m": large},
                    comparisons={"RR@10": stage.comparisons["RR@10"] | renamed},
                    spread=stage.spread | {"iaa_m": stage.spread["iaa_l"]},
                )
            )
        found = claims(stages, learned)
        assert answers(found)[2:] == [answer, answer]
        for claim in found[2:]:
            notes = claim.by_task["retrieval"].evidence.notes
            assert "iaa_m is left out: no other method trains about as many weights." in notes


def test_what_was_not_analysed_is_not_decided(tmp_path: Path) -> None:
    found = claims(study_of(tmp_path, AS_IN_THE_PAPER), {})
    assert answers(found) == [True, None, True, None]
    # Sharpness of the first seed alone is no test.
    lone = {
        task: {n: f | {"sharpness": [5.0, None, None]} for n, f in of.items()} for task, of in LEARNED.items()
    }
    found = claims(study_of(tmp_path, AS_IN_THE_PAPER), lone)
    assert answers(found) == [True, True, True, None]
    assert found[3].by_task["retrieval"].evidence.groups["Against iaa_l"]["lora"][-1].text == "no test"


def test_figures_of_learning_are_corrected_with_those_of_other_studies(tmp_path: Path) -> None:
    """LoRA's and the adapter's mean heights are two tests, and with those of another study four."""
    stages = study_of(tmp_path, ALL_ALIKE)
    noisy = chaos([None, None, None])

    heights = {name: figures | {"auc": [0.6, 0.6, 0.6]} for name, figures in LEARNED["retrieval"].items()}
    heights |= {"lora": heights["lora"] | {"auc": [0.5, 0.51, 0.53]}}
    heights |= {"adapter": heights["adapter"] | {"auc": [0.3, 0.7, 0.55]}}

    def p_of_lora(beside: list[dict[str, Any]]) -> float:
        others = {stage.task: [(stage, figures[stage.task]) for figures in beside] for stage in stages}
        found = claims(stages, {"retrieval": heights, "reranking": heights}, others)
        return found[1].by_task["retrieval"].evidence.groups[""]["lora"][1].number

    raw = stats.ttest_1samp([0.1, 0.09, 0.07], 0).pvalue
    assert p_of_lora([]) == pytest.approx(2 * raw)
    other = {"retrieval": noisy, "reranking": noisy}
    assert p_of_lora([other]) == pytest.approx(4 * raw)
    # What was trained once for both is one test.
    assert p_of_lora([{"retrieval": heights, "reranking": heights}, other]) == p_of_lora([other])
