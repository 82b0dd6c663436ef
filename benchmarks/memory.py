"""Peak memory of the steps that read every document, at N documents and at ten times N.

Each step runs in a process of its own on a generated collection; the figure is the most memory that the
process held resident (``ru_maxrss``). What may grow is the index itself: 4 bytes a dimension and an id per
document.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

STEPS = {
    "prepare": "write the collection",
    "bm25": "index with Lucene, search 100 queries",
    "texts": "look up 1,000 documents by id, as training does",
    "index": "encode and index with the default backbone, without the index itself",
}
WORDS = [
    f"{a}{b}" for a in ("re", "un", "over", "sub", "co") for b in ("act", "form", "cast", "port", "draw")
]


def documents(count: int, words: int) -> Iterator[tuple[str, str]]:
    """Ids and texts of ``count`` generated documents of ``words`` words."""
    generator = random.Random(0)
    return ((f"d{i}", " ".join(generator.choices(WORDS, k=words))) for i in range(count))


def prepare(folder: Path, count: int, words: int) -> None:
    """Write a collection of generated documents with one judged query."""
    from peftir.collections import Content, Document, Judgement, Query, write_collection

    content = Content(
        documents=(Document(id, "", text) for id, text in documents(count, words)),
        qrels={"test": [Judgement("q0", "d0", 1)]},
        queries=[Query("q0", "react")],
        origin={"source": "generated"},
    )
    write_collection(folder / "collection", content)


def bm25(folder: Path, count: int, words: int) -> None:
    """Index the collection and search it."""
    from peftir.bm25 import build_index, search
    from peftir.collections.base import Collection

    build_index(Collection(folder / "collection").texts(), folder / "bm25", threads=2)
    queries = {f"q{i}": " ".join(WORDS[i % 25 :][:3]) for i in range(100)}
    search(folder / "bm25", queries, k1=0.9, b=0.4, depth=100, threads=2)


def texts(folder: Path, count: int, words: int) -> None:
    """Look up the same number of documents whatever the collection's size."""
    from peftir.collections.base import Collection
    from peftir.texts import DocumentTexts

    ids = [f"d{i}" for i in range(0, count, count // 1000)]
    look_up = DocumentTexts(Collection(folder / "collection"), ids)
    for start in range(0, len(ids), 50):
        look_up(ids[start : start + 50])


def index(folder: Path, count: int, words: int) -> None:
    """Encode the collection as the stage does, and drop the vectors that it would add to the index."""
    from peftir.biencoder import encode, new_biencoder
    from peftir.collections.base import Collection
    from peftir.encoding import CHUNK

    model = new_biencoder(
        "sentence-transformers/all-MiniLM-L6-v2", pooling="mean", query_length=32, document_length=64
    )
    for _, chunk in Collection(folder / "collection").text_chunks(CHUNK):
        encode(model, chunk, "document", "bfloat16")


def peak_memory(step: str, folder: Path, count: int, words: int) -> int:
    """Run ``step`` in a process of its own; gives its peak memory in MB."""
    command = [sys.executable, __file__, "--step", step, "--folder", str(folder), "--documents", str(count)]
    done = subprocess.run([*command, "--words", str(words)], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{step} failed:\n{done.stderr}")
    return int(done.stdout.split()[-1])


def main() -> None:
    """Print a line per step: both figures and their ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="example: python benchmarks/memory.py --documents 20000"
    )
    parser.add_argument("--documents", type=int, default=20_000, help="N (default 20000)")
    parser.add_argument("--words", type=int, default=6, help="words of a document (default 6)")
    parser.add_argument("--step", choices=STEPS, help="run this step alone and print its peak memory in MB")
    parser.add_argument("--folder", type=Path, help="where --step works")
    arguments = parser.parse_args()
    if arguments.step:
        from peftir.resources import peak_memory_mb

        globals()[arguments.step](arguments.folder, arguments.documents, arguments.words)
        print(peak_memory_mb())
        return
    sizes = (arguments.documents, 10 * arguments.documents)
    print(f"{'step':10}{sizes[0]:>12,}{sizes[1]:>12,}  documents (peak memory in MB)")
    with tempfile.TemporaryDirectory() as folder:
        for step, what in STEPS.items():
            peaks = []
            for size in sizes:
                place = Path(folder) / str(size)
                place.mkdir(exist_ok=True)
                peaks.append(peak_memory(step, place, size, arguments.words))
            print(f"{step:10}{peaks[0]:12,}{peaks[1]:12,}  x {peaks[1] / peaks[0]:.2f}  {what}", flush=True)


if __name__ == "__main__":
    main()
