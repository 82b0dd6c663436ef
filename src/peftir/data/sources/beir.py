"""The source ``beir:<folder>``: ``corpus.jsonl``, ``queries.jsonl`` and ``qrels/{train,dev,test}.tsv``.

The layout of BEIR (Thakur et al. 2021, "BEIR: A Heterogenous Benchmark for Zero-shot Evaluation of
Information Retrieval Models"), used for most public collections. The folder's splits are completed by
:func:`peftir.data.splits.complete`. Any of the files may be gzipped.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from peftir.data.collection import SPLITS, qrels_file
from peftir.data.content import Again, Content, Report, refuse
from peftir.data.sources.columns import beir_judgements
from peftir.data.sources.folders import find, find_or_refuse, folder_of
from peftir.data.sources.jsonl import documents_of, queries_of
from peftir.data.splits import complete

LAYOUT = "a BEIR folder"


def read(place: str, documents: int | None, shares: Mapping[str, float], report: Report = refuse) -> Content:
    """Read a BEIR folder.

    Args:
        place: the folder.
        documents: must be ``None``: a part of the corpus would lack judged documents.
        shares: see :func:`peftir.data.splits.complete`.
        report: called with each invalid line, when it is read.

    Raises:
        PeftirError: the folder or a required file is missing, or ``documents`` is given.
    """
    folder = folder_of("beir", place, documents)
    corpus = find_or_refuse(folder, LAYOUT, "corpus.jsonl")
    queries = find_or_refuse(folder, LAYOUT, "queries.jsonl")
    find_or_refuse(folder, LAYOUT, qrels_file("test"))
    found = {split: find(folder, qrels_file(split)) for split in SPLITS}
    return Content(
        documents=Again(lambda: documents_of(corpus, report)),
        qrels=complete(
            {
                split: Again(partial(beir_judgements, path, report))
                for split, path in found.items()
                if path is not None
            },
            shares,
        ),
        queries=queries_of(queries, report),
        origin={"source": "beir", "folder": folder.resolve().name},
    )
