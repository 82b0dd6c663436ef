"""A study's trained models on one backbone in memory, switched by name (docs/hot-swap.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from peft.tuners.tuners_utils import BaseTunerLayer
from sentence_transformers import CrossEncoder, SentenceTransformer

from peftir import tuners
from peftir.models import manifest, saving
from peftir.models.backbone import record_of
from peftir.pipeline.backbone import settled
from peftir.pipeline.new_reranker import new_reranker
from peftir.pipeline.new_retriever import new_retriever
from peftir.serve.chains import ModelName
from peftir.study import layout
from peftir.study.params import Params
from peftir.study.tasks import StageName
from peftir.system.errors import PeftirError


class SharedBackbone:
    """The models of the study in ``root``; for one thread, as the last switch counts for all.

    An adapter is loaded when it is first needed and stays. A fully fine-tuned model needs a copy of the
    backbone: one such copy is held, the last that was needed.
    """

    def __init__(self, root: Path, params: Params) -> None:
        self._root = root
        self._params = params
        self._hosts: dict[StageName, Any] = {}
        self._record: dict[str, Any] = {}
        self._copy: tuple[ModelName, Any] | None = None

    def model(self, name: ModelName) -> Any:
        """The ``SentenceTransformer`` or ``CrossEncoder`` of this name, until the next call.

        Raises:
            PeftirError: the model is missing or damaged, or was trained on another backbone or with other
                settings than those of ``params.yaml``.
        """
        folder = self._root / name.folder
        untrained = self._params.methods[name.variant].type == "zero_shot"
        if not untrained and not (folder / "adapter_config.json").is_file():
            return self._whole(name)
        host = self._host(name.stage)
        transformer = saving.transformer_of(host)
        if untrained:
            self._check(name, host)
            _enable_adapters(transformer, False)
            return host
        adapter = f"{name.stage}-{name.key}"
        _enable_adapters(transformer, True)
        if adapter not in getattr(transformer, "peft_config", {}):
            self._load(name, host, adapter)
        transformer.set_adapter(adapter)
        return host

    def _whole(self, name: ModelName) -> Any:
        if self._copy is None or self._copy[0] != name:
            self._copy = None  # two would be in memory otherwise
            kind, folder = saving.MODEL_TYPES[name.stage], self._root / name.folder
            self._copy = name, saving.load(kind, folder, self._root)
        return self._copy[1]

    def _host(self, stage: StageName) -> SentenceTransformer | CrossEncoder:
        if not self._hosts:
            root, params = self._root, settled(self._root, self._params)
            backbone, reranker = params.backbone, new_reranker(root, params)
            retriever = new_retriever(root, params)
            retriever[0].model = saving.transformer_of(reranker).base_model
            self._record = record_of(backbone.name, backbone.revision, root)
            self._hosts = {"retriever": retriever.eval(), "reranker": reranker.eval()}
        return self._hosts[stage]

    def _load(self, name: ModelName, host: Any, adapter: str) -> None:
        self._check(name, host)
        try:
            tuners.load(saving.transformer_of(host), self._root / name.folder, adapter)
        except Exception as error:
            self._hosts = {}  # the adapter may be on it in part
            raise _unusable(name, " ".join(str(error).split())) from error

    def _check(self, name: ModelName, host: Any) -> None:
        """Raise an error unless the model's manifest records what ``host`` is."""
        try:
            recorded = manifest.read(self._root / name.folder)
            if recorded["backbone"]["sha256"] != self._record["sha256"]:
                raise ValueError(f"it was trained on another backbone than {self._params.backbone.name}")
            recorded["output"].pop("tune", None)  # queries alone are encoded here
            manifest.compare(host, recorded)
        except (OSError, ValueError, KeyError) as error:
            raise _unusable(name, str(error)) from error


def _enable_adapters(transformer: Any, enabled: bool) -> None:
    """As transformers' ``enable_adapters``, which refuses a model that has no adapter yet."""
    for module in transformer.modules():
        if isinstance(module, BaseTunerLayer) and module.disable_adapters == enabled:
            module.enable_adapters(enabled=enabled)


def _unusable(name: ModelName, reason: str) -> PeftirError:
    return PeftirError(
        f"{name.folder}: the model cannot be used ({reason}); make it again: "
        f"`dvc repro {layout.maker_of(name.folder)}`"
    )
