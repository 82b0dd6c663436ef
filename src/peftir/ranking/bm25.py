"""BM25: indexing and searching with Lucene, by the Anserini version that Pyserini contains.

Documents and queries are processed by Anserini's default English analyzer: lower-casing, stop word removal
and Porter stemming. The score is BM25 (Robertson and Zaragoza 2009, "The
Probabilistic Relevance Framework: BM25 and Beyond", section 3) as implemented in Lucene: without the constant
factor k1 + 1, and with document lengths above 40 words rounded down to fit into one byte.

Index files differ from build to build, since Lucene writes the time and random ids into them. Search results
do not: scores are independent of the index's segments, and ties are broken by document id.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from peftir.ranking.jvm import java_class, start_java
from peftir.ranking.runs import Hits
from peftir.system.errors import PeftirError
from peftir.system.files import free_megabytes, remove, replacing, unusable

BLOCK = 1024  # queries whose hits are in memory at a time
BUFFER_MB = 256  # memory buffer of the indexer
BLANK = "".join(
    map(chr, range(33))
)  # characters that Java's String.trim removes; Anserini skips texts of these only


def build_index(documents: Iterable[tuple[str, str]], folder: Path, threads: int) -> None:
    """Index ``documents``, (id, text) pairs with unique ids, into ``folder``, which is replaced.

    The documents are iterated over once and not kept in memory. Documents without text are skipped.

    Raises:
        PeftirError: no document has text, or the index could not be written (most often a full disk).
    """
    start_java()
    with replacing(folder) as partial:
        texts = partial / "texts"
        count = _write_json(documents, texts, files=threads)
        if count == 0:
            raise PeftirError(f"{folder}: no document has any text to index; look at the collection's corpus")
        _run_indexer(texts, partial, threads)
        remove(texts)
        indexed = _count(partial)
        if indexed != count:
            raise PeftirError(
                f"{folder}: Lucene wrote {indexed} of {count} documents, the reason stands above "
                f"({free_megabytes(folder)} MB of the disk are free); fix it and run again"
            )


def search(
    folder: Path, queries: dict[str, str], k1: float, b: float, depth: int, threads: int
) -> Iterator[tuple[str, Hits]]:
    """Yield the ``depth`` top hits of each of ``queries`` (texts by id), in the order of ``queries``.

    Hits are not kept in memory: as Python objects, those of MS MARCO's train queries would take gigabytes.

    Ties are broken by document id. Queries are bags of words without a query syntax. A query without matches
    has an empty list.

    Args:
        folder: an index from :func:`build_index`.
        k1: term frequency saturation, at least 0.
        b: document length normalization, from 0 to 1.
        depth: maximum number of hits per query.
        threads: number of queries at a time.

    Raises:
        PeftirError: the index is missing or damaged.
    """
    start_java()
    with _opened(folder) as reader, ThreadPoolExecutor(threads) as pool:
        searcher = java_class("org.apache.lucene.search.IndexSearcher")(reader)
        # The default, 1024 distinct terms, is too low for whole documents as queries.
        searcher.setMaxClauseCount(2**31 - 1)
        searcher.setSimilarity(java_class("org.apache.lucene.search.similarities.BM25Similarity")(k1, b))
        analyzer = java_class("io.anserini.index.IndexCollection").DEFAULT_ANALYZER
        by_score_then_id = java_class("io.anserini.search.SearchCollection").BREAK_SCORE_TIES_BY_DOCID
        words = java_class("io.anserini.search.query.BagOfWordsQueryGenerator")()
        hits = java_class("io.anserini.search.ScoredDocs")

        # SimpleSearcher.batch_search does the same, but with one thread per processor and rounded scores.
        # Reading ids and scores as two arrays also saves two calls into Java per document.
        def best(text: str) -> Hits:
            query = words.buildQuery("contents", analyzer, text)
            found = hits.fromTopDocs(searcher.search(query, depth, by_score_then_id, True), searcher)
            return list(zip(map(sys.intern, found.docids), found.scores, strict=True))

        ids = iter(queries)
        while block := list(itertools.islice(ids, BLOCK)):
            yield from zip(block, pool.map(best, [queries[id] for id in block]), strict=True)


def _write_json(documents: Iterable[tuple[str, str]], folder: Path, files: int) -> int:
    """Write the non-blank documents as a JsonCollection of ``files`` files; return their number."""
    folder.mkdir(parents=True)
    count = 0
    with ExitStack() as stack:
        shards = [
            stack.enter_context((folder / f"{shard}.jsonl").open("w", encoding="utf-8"))
            for shard in range(files)
        ]
        for name, text in documents:
            if text.strip(BLANK):
                shards[count % files].write(json.dumps({"id": name, "contents": text}) + "\n")
                count += 1
    return count


def _run_indexer(texts: Path, folder: Path, threads: int) -> None:
    settings = java_class("io.anserini.index.IndexCollection$Args")()
    settings.collectionClass = "JsonCollection"
    # Absolute paths, since the JVM keeps the working directory of its start.
    settings.input = str(texts.resolve())
    settings.index = str(folder.resolve())
    settings.threads = threads
    settings.memoryBuffer = BUFFER_MB
    settings.quiet = True
    java_class("io.anserini.index.IndexCollection")(settings).run()


def _count(folder: Path) -> int:
    """The number of documents in the index in ``folder``; 0 if there is no index."""
    try:
        with _opened(folder) as reader:
            return int(reader.numDocs())
    except PeftirError:
        return 0


@contextmanager
def _opened(folder: Path) -> Iterator[Any]:
    """Open the Lucene index in ``folder`` and verify its checksums.

    Raises:
        PeftirError: the index is missing or damaged.
    """
    from jnius import JavaException, cast

    if not folder.is_dir():
        raise PeftirError(f"{folder}: no such Lucene index; make it first (dvc repro)")
    try:
        directory = java_class("org.apache.lucene.store.FSDirectory").open(
            java_class("java.nio.file.Paths").get(str(folder.resolve()))
        )
        reader = java_class("org.apache.lucene.index.DirectoryReader").open(directory)
        for leaf in reader.leaves():
            leaf.reader().checkIntegrity()
    except JavaException as error:
        raise unusable(
            folder, error, "make the index again: `dvc repro --force --single-item bm25`"
        ) from error
    try:
        yield cast("org.apache.lucene.index.IndexReader", reader)
    finally:
        reader.close()
