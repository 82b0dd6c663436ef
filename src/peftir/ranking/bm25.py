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
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Lock
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


def build_index(
    documents: Iterable[tuple[str, str]], folder: Path, threads: int, term_vectors: bool = False
) -> None:
    """Index ``documents``, (id, text) pairs with unique ids, into ``folder``, which is replaced.

    The documents are iterated over once and not kept in memory. Documents without text are skipped. RM3 needs
    ``term_vectors``, which make the index larger.

    Raises:
        PeftirError: no document has text, or the index could not be written (most often a full disk).
    """
    start_java()
    with replacing(folder) as partial:
        texts = partial / "texts"
        count = _write_json(documents, texts, files=threads)
        if count == 0:
            raise PeftirError(f"{folder}: no document has any text to index; look at the collection's corpus")
        _run_indexer(texts, partial, threads, term_vectors)
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
    with opened(folder, k1, b) as index:
        yield from ranked(lambda _, *given: index.best(*given), queries, depth, threads)


def ranked(
    best: Callable[[str, str, int], Hits], queries: dict[str, str], depth: int, threads: int
) -> Iterator[tuple[str, Hits]]:
    """Yield the hits of each of ``queries``, in their order; ``best`` gives them for id, text and depth."""
    with ThreadPoolExecutor(threads) as pool:
        ids = iter(queries)
        while block := list(itertools.islice(ids, BLOCK)):
            texts = [queries[id] for id in block]
            yield from zip(block, pool.map(best, block, texts, itertools.repeat(depth)), strict=True)


class Bm25Index:
    """An open index, see :func:`opened`; several threads may search in it."""

    def __init__(self, reader: Any, k1: float, b: float) -> None:
        self.searcher = java_class("org.apache.lucene.search.IndexSearcher")(reader)
        # The default, 1024 distinct terms, is too low for whole documents as queries.
        self.searcher.setMaxClauseCount(2**31 - 1)
        similarity = java_class("org.apache.lucene.search.similarities.BM25Similarity")
        self.searcher.setSimilarity(similarity(k1, b))
        self.analyzer = java_class("io.anserini.index.IndexCollection").DEFAULT_ANALYZER
        self._by_score_then_id = java_class("io.anserini.search.SearchCollection").BREAK_SCORE_TIES_BY_DOCID
        self._words = java_class("io.anserini.search.query.BagOfWordsQueryGenerator")()
        self._documents = java_class("io.anserini.search.ScoredDocs")
        self._analyze = java_class("io.anserini.analysis.AnalyzerUtils").analyze
        self._one_at_a_time = Lock()

    # SimpleSearcher.batch_search does the same, but with one thread per processor and rounded scores.
    # Reading ids and scores as two arrays also saves two calls into Java per document.
    def best(self, text: str, depth: int) -> Hits:
        """The ``depth`` top hits of the query ``text``, as in :func:`search`."""
        return self.hits(self.documents(self.query(text), depth))

    def query(self, text: str) -> Any:
        """Lucene's query for ``text``: the bag of its words."""
        return self._words.buildQuery("contents", self.analyzer, text)

    def documents(self, query: Any, depth: int) -> Any:
        """Anserini's object for the ``depth`` top documents of ``query``."""
        found = self.searcher.search(query, depth, self._by_score_then_id, True)
        return self._documents.fromTopDocs(found, self.searcher)

    def without(self, query: Any, document: str) -> Any:
        """Lucene's query for what ``query`` finds, with the same scores, but for the document of this id."""
        occurs = java_class("org.apache.lucene.search.BooleanClause$Occur")
        term = java_class("org.apache.lucene.index.Term")("id", document)
        builder = java_class("org.apache.lucene.search.BooleanQuery$Builder")()
        builder.add(query, occurs.MUST)
        builder.add(java_class("org.apache.lucene.search.TermQuery")(term), occurs.MUST_NOT)
        return builder.build()

    def tokens(self, text: str) -> Any:
        """Java's list of the terms that the analyzer gives for ``text``."""
        return self._analyze(self.analyzer, text)

    @staticmethod
    def hits(documents: Any) -> Hits:
        """The ids and scores of ``documents``, as of :meth:`documents`."""
        return list(zip(map(sys.intern, documents.docids), documents.scores, strict=True))

    def terms(self, text: str) -> list[str]:
        """The terms that the analyzer gives for ``text``: lower-cased, stemmed, without stop words."""
        # pyjnius notes on a class's method, for all threads, which object it was last looked up on.
        with self._one_at_a_time:
            return list(self.tokens(text).toArray())


@contextmanager
def opened(folder: Path, k1: float, b: float) -> Iterator[Bm25Index]:
    """The index in ``folder`` for any number of searches; the arguments are those of :func:`search`.

    Raises:
        PeftirError: the index is missing or damaged.
    """
    start_java()
    with _reader(folder) as reader:
        yield Bm25Index(reader, k1, b)


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


def _run_indexer(texts: Path, folder: Path, threads: int, term_vectors: bool) -> None:
    settings = java_class("io.anserini.index.IndexCollection$Args")()
    settings.collectionClass = "JsonCollection"
    # Absolute paths, since the JVM keeps the working directory of its start.
    settings.input = str(texts.resolve())
    settings.index = str(folder.resolve())
    settings.threads = threads
    settings.memoryBuffer = BUFFER_MB
    settings.storeDocvectors = term_vectors
    settings.quiet = True
    java_class("io.anserini.index.IndexCollection")(settings).run()


def _count(folder: Path) -> int:
    """The number of documents in the index in ``folder``; 0 if there is no index."""
    try:
        with _reader(folder) as reader:
            return int(reader.numDocs())
    except PeftirError:
        return 0


@contextmanager
def _reader(folder: Path) -> Iterator[Any]:
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
