"""``params.yaml``, read once into validated objects.

A mistake in the file ends in one line that names the key, the value and what was expected.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError, model_validator

from peftir.study import depths, first_stages, learnable, names, negatives, seeds
from peftir.study.block import Block
from peftir.study.blocks import (
    BackboneParams,
    Bm25Params,
    CollectionParams,
    IndexParams,
    LearningParams,
    Measures,
    MethodParams,
    Positive,
    RetrievalParams,
    Seeds,
    TestSetParams,
)
from peftir.study.first_stages import LexicalParams, RerankingParams
from peftir.study.mistakes import in_one_line
from peftir.study.rows import Row, rows_of
from peftir.study.sources import shown
from peftir.study.tasks import BY_NAME, TASKS, UNTRAINED, StageName, TaskName
from peftir.study.training import MiningParams, RerankerParams, RetrieverParams, TeacherParams, TrainingParams
from peftir.study.variants import Variants
from peftir.study.yaml_text import parse_yaml
from peftir.system.errors import PeftirError
from peftir.system.files import unusable


class Params(Block):
    """All of ``params.yaml``; the keys are explained there."""

    collection: CollectionParams
    bm25: Bm25Params
    lexical: dict[str, LexicalParams]
    backbone: BackboneParams
    threads: Positive
    methods: dict[str, MethodParams]
    variants: Variants
    seeds: Seeds
    retriever: RetrieverParams
    index: IndexParams
    retrieval: RetrievalParams
    reranker: RerankerParams
    reranking: RerankingParams
    chains: list[str]
    measures: Measures
    tests: dict[str, TestSetParams]
    mining: dict[str, MiningParams]
    teachers: dict[str, TeacherParams]
    learning: LearningParams

    def at_commit(self, commit: str) -> Params:
        """The same with ``commit`` as the backbone's revision."""
        return self.model_copy(update={"backbone": self.backbone.model_copy(update={"revision": commit})})

    def for_publication(self) -> Params:
        """The same without private paths: folders outside of the study are reduced to their last part."""
        content = self.model_dump()
        content["backbone"]["name"] = shown(self.backbone.name)
        for block in (content["collection"], *content["tests"].values()):
            block["source"] = shown(block["source"])
        for block in content["teachers"].values():
            block["scores"] = shown(block["scores"])
        for block in content["methods"].values():
            folders = block["start_from"] or {}
            folders |= {stage: shown(folder) for stage, folder in folders.items() if folder}
        return Params.model_validate(content)

    def training(self, stage: StageName) -> TrainingParams:
        """How ``stage`` is trained."""
        return self.retriever if stage == "retriever" else self.reranker

    def rows(self, task: TaskName) -> list[Row]:
        """The rows of the results of ``task``, in the order of the tables."""
        variants = self.variants.at(task)
        return list(rows_of(task, variants, self.reranking.first_stage, self.lexical))

    def lengths(self) -> dict[str, int]:
        """How many tokens are read of a text, by key."""
        return {
            "retriever.query_length": self.retriever.query_length,
            "retriever.document_length": self.retriever.document_length,
            "reranker.length": self.reranker.length,
        }

    def prefixes(self) -> dict[str, tuple[str, str]]:
        """What stands before a text, by key, with the key of the length that it counts towards."""
        return {
            "retriever.query_prefix": (self.retriever.query_prefix, "retriever.query_length"),
            "retriever.document_prefix": (self.retriever.document_prefix, "retriever.document_length"),
        }

    def measure_names(self) -> list[tuple[str, str]]:
        """The key and the name of each measure that is asked for."""
        return [
            ("retriever.selected_by", self.retriever.selected_by),
            ("reranker.selected_by", self.reranker.selected_by),
            *(
                (f"lexical.{name}.selected_by", given.selected_by)
                for name, given in self.lexical.items()
                if given.selected_by
            ),
            *((key, name) for key, _, names in self.measure_lists() for name in names),
        ]

    def measure_lists(self) -> list[tuple[str, TaskName, list[str]]]:
        """Each list of measures with its key and the task whose rankings they are of."""
        given = {"measures": self.measures}
        given |= {
            f"tests.{name}.measures": test.measures for name, test in self.tests.items() if test.measures
        }
        return [(f"{key}.{task}", task, each.at(task)) for key, each in given.items() for task in BY_NAME]

    @model_validator(mode="after")
    def _something_can_be_learned(self) -> Params:
        if wrong := learnable.problem(self):
            raise ValueError(wrong)
        return self

    @model_validator(mode="after")
    def _variants_are_methods(self) -> Params:
        for key, listed in self.variants:
            for name in listed:
                if name not in self.methods:
                    known = ", ".join(self.methods)
                    raise ValueError(f"variants.{key}: '{name}': expected a name under methods: {known}")
            if len(set(listed)) < len(listed):
                raise ValueError(f"variants.{key}: {listed}: expected each name once")
        return self

    @model_validator(mode="after")
    def _names_that_stay_apart(self) -> Params:
        if wrong := names.problem([*self.variants.at("retrieval"), *self.variants.at("reranking")]):
            raise ValueError(f"methods.{wrong}")
        if wrong := names.problem(self.tests, names.NO_NAMES):
            raise ValueError(f"tests.{wrong}")
        if wrong := names.problem(self.lexical, names.RESERVED | names.of_variants(self.methods)):
            raise ValueError(f"lexical.{wrong}")
        for key, _, measures in self.measure_lists():
            if len(set(measures)) < len(measures):
                raise ValueError(f"{key}: {', '.join(measures)}: expected each measure once")
        return self

    @model_validator(mode="after")
    def _first_stages_are_runs(self) -> Params:
        if wrong := first_stages.problem(self):
            raise ValueError(wrong)
        return self

    @model_validator(mode="after")
    def _negatives_come_from_somewhere_else(self) -> Params:
        if wrong := negatives.problem(self):
            raise ValueError(wrong)
        return self

    @model_validator(mode="after")
    def _lists_are_as_deep_as_what_is_taken_from_them(self) -> Params:
        if wrong := depths.problem(self):
            raise ValueError(wrong)
        return self

    @model_validator(mode="after")
    def _untrained_variants_are_listed_as_such(self) -> Params:
        for task, key in ((task, UNTRAINED[task.stage]) for task in TASKS):
            for name in self.variants.once(task.name):
                if self.methods[name].type != "zero_shot":
                    raise ValueError(
                        f"variants.{key}: '{name}': expected a method of type zero_shot; trained ones go "
                        "under variants.retriever and variants.reranker"
                    )
        if self.variants.untrained_reranker and self.collection.folds:
            raise ValueError(
                f"variants.untrained_reranker: {self.variants.untrained_reranker}: expected none, since "
                "with collection.folds a model without a fold has no dev queries to choose a weight on"
            )
        reasons: dict[StageName, str] = {
            "retriever": "zero_shot goes under variants.untrained, where it runs once whatever the seeds",
            "reranker": "an untrained head means nothing; a backbone that can score already goes under "
            "variants.untrained_reranker",
        }
        for key, reason in reasons.items():
            for name in self.variants.trained(key):
                if self.methods[name].type == "zero_shot":
                    raise ValueError(f"variants.{key}: '{name}': expected a trained method: {reason}")
        return self

    @model_validator(mode="after")
    def _seeds_have_all_folds(self) -> Params:
        for stage, entries in self.seeds:
            if wrong := seeds.problem(entries, self.collection.folds):
                raise ValueError(f"seeds.{stage}: {wrong}")
        return self


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and check ``path``.

    Raises:
        PeftirError: the file is missing, is not YAML, or a key or value is not as expected.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise PeftirError(f"{path}: not found; run from the folder that holds params.yaml") from error
    except OSError as error:
        raise unusable(path, error) from error
    except UnicodeDecodeError as error:
        raise PeftirError(f"{path}: not UTF-8 text: {error}") from error
    try:
        return Params.model_validate(parse_yaml(text, str(path)))
    except ValidationError as error:
        raise PeftirError(f"{path}: {in_one_line(error, Params)}") from error
