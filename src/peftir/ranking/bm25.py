"""BM25: a Lucene index of the documents and a search in it, by Anserini as Pyserini ships it.

Documents and queries go through Anserini's default English analyser: words are lower-cased, stop words left
out, and the rest stemmed by Porter's rules. The score is BM25 (Robertson and Zaragoza 2009, "The
Probabilistic Relevance Framework: BM25 and Beyond", section 3) as Lucene has it: without the constant factor
k1 + 1, and with document lengths above 40 words rounded down to one byte's precision.

An index is never the same to the byte twice, since Lucene writes the time and random ids into it. What a
search returns is: scores do not depend on how the documents are spread over the index's segments, and equal
scores are ordered by document id.
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

BLOCK = 1024  # queries whose hits are held at a time
BUFFER_MB = 256  # of postings that the indexer holds before it writes them out
BLANK = "".join(
    map(chr, range(33))
)  # what Java's String.trim takes away: Anserini leaves out what is blank to it


def build_index(documents: Iterable[tuple[str, str]], folder: Path, threads: int) -> None:
    """Index ``documents``, (id, text) pairs with unique ids, into ``folder``, which is replaced as a whole.

    The documents are read once, and neither they nor the index are held in memory. A document without text is
    left out: no query could find it.

    Raises:
        PeftirError: no document has text, or the index could not be written (a full disk, most often).
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
                f"({free_megabytes(folder)} MB of the disk are free); mend it and run again"
            )


def search(
    folder: Path, queries: dict[str, str], k1: float, b: float, depth: int, threads: int
) -> Iterator[tuple[str, Hits]]:
    """The ``depth`` best documents for each of ``queries`` (texts by id), ``threads`` queries at a time.

    Rankings come in the order of ``queries``, and are not kept: those of MS MARCO's train queries as Python
    objects would take gigabytes.

    Documents with equal scores are in the order of their ids. A query of any length and with any characters
    is a bag of words: there is no query syntax. A query that finds nothing has an empty list.

    Args:
        folder: an index from :func:`build_index`.
        k1: how slowly a word's further occurrences stop counting, at least 0.
        b: how much a document's length counts, from 0 to 1.

    Raises:
        PeftirError: the index is missing or damaged.
    """
    start_java()
    with _opened(folder) as reader, ThreadPoolExecutor(threads) as pool:
        searcher = java_class("org.apache.lucene.search.IndexSearcher")(reader)
        # The default, 1024 different words, refuses whole documents as queries.
        searcher.setMaxClauseCount(2**31 - 1)
        searcher.setSimilarity(java_class("org.apache.lucene.search.similarities.BM25Similarity")(k1, b))
        analyzer = java_class("io.anserini.index.IndexCollection").DEFAULT_ANALYZER
        by_score_then_id = java_class("io.anserini.search.SearchCollection").BREAK_SCORE_TIES_BY_DOCID
        words = java_class("io.anserini.search.query.BagOfWordsQueryGenerator")()
        hits = java_class("io.anserini.search.ScoredDocs")

        # SimpleSearcher.batch_search does the same, but with as many threads as there are processors and with
        # rounded scores. Taking ids and scores over as two arrays also spares two calls into Java a document.
        def best(text: str) -> Hits:
            query = words.buildQuery("contents", analyzer, text)
            found = hits.fromTopDocs(searcher.search(query, depth, by_score_then_id, True), searcher)
            return list(zip(map(sys.intern, found.docids), found.scores, strict=True))

        ids = iter(queries)
        while block := list(itertools.islice(ids, BLOCK)):
            yield from zip(block, pool.map(best, [queries[id] for id in block]), strict=True)


def _write_json(documents: Iterable[tuple[str, str]], folder: Path, files: int) -> int:
    """Write what is not blank as a JsonCollection of ``files`` files, one a thread; return how many."""
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
    # Absolute paths: the JVM keeps the folder that it was started in.
    settings.input = str(texts.resolve())
    settings.index = str(folder.resolve())
    settings.threads = threads
    settings.memoryBuffer = BUFFER_MB
    settings.quiet = True
    java_class("io.anserini.index.IndexCollection")(settings).run()


def _count(folder: Path) -> int:
    """How many documents a search of the index in ``folder`` would see; 0 if there is no index."""
    try:
        with _opened(folder) as reader:
            return int(reader.numDocs())
    except PeftirError:
        return 0


@contextmanager
def _opened(folder: Path) -> Iterator[Any]:
    """A reader of the Lucene index in ``folder``, all of whose checksums are right.

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
