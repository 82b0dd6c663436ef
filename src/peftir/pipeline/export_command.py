"""The command line of ``peftir export``; what takes seconds to import comes later."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from peftir.study.seeds import seed
from peftir.system.errors import PeftirError


def add_export(commands: argparse._SubParsersAction) -> None:
    """Declare ``peftir export``."""
    command = commands.add_parser(
        "export",
        help="write a trained model to a folder for others",
        description="Write a trained model and its model card to a folder that sentence-transformers loads: "
        "only the adapter or, with --merged, all weights (lora, ia3). full and zero_shot always "
        "have all weights. With --onnx, write all weights of any method as ONNX instead.",
        epilog="example: peftir export lora --to lora-retriever --merged",
    )
    command.add_argument("variant", metavar="VARIANT", help="a name under methods in params.yaml")
    command.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="must not exist yet")
    command.add_argument("--stage", choices=("retriever", "reranker"), default="retriever")
    command.add_argument("--seed", type=seed, metavar="N", help="default: the first in params.yaml")
    form = command.add_mutually_exclusive_group()
    form.add_argument("--merged", action="store_true", help="add the adapter to the backbone's weights")
    form.add_argument(
        "--onnx", action="store_true", help="write ONNX, checked and timed against torch, for any method"
    )
    command.add_argument(
        "--with-index",
        action="store_true",
        help="with the documents, their indexes and the backbone: a folder that peftir serve opens anywhere",
    )
    command.add_argument("--push", metavar="HUB-ID", help="upload the folder to this model on the hub, too")
    command.set_defaults(run=_export)


def _export(arguments: argparse.Namespace) -> int:
    from peftir.study.params import load_params
    from peftir.system.threads import before_imports

    params = load_params()
    before_imports(params.threads)
    from peftir.pipeline.export import export
    from peftir.pipeline.publishing import check_hub_id, push

    if arguments.push:
        check_hub_id(arguments.push)

    if arguments.variant not in params.methods:
        known = ", ".join(params.methods)
        raise PeftirError(f"{arguments.variant}: expected a name under methods in params.yaml: {known}")
    which = arguments.seed
    if which is None and params.methods[arguments.variant].type != "zero_shot":
        which = params.seeds.at(arguments.stage)[0]
    folder, served = arguments.to, arguments.with_index
    given = (Path(), params, arguments.variant, arguments.stage, which, folder)
    if arguments.onnx:
        _export_onnx(given, served)
    else:
        export(*given, arguments.merged, served)
    print(f"{folder} has the model; {folder / 'README.md'} describes it and how to load it")
    if served:
        print(f"`peftir serve {folder}` searches with it, on any machine that has peftir")
    if arguments.push:
        print(f"uploaded to {push(folder, arguments.push)}")
    return 0


def _export_onnx(given: tuple[Any, ...], served: bool) -> None:
    from peftir.pipeline.onnx_export import export_onnx

    if served:
        raise PeftirError("--onnx --with-index: peftir serve computes with torch; leave one of them out")
    for compared in export_onnx(*given):
        print(compared)
