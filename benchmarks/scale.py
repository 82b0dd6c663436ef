"""Peak memory and time of the steps that read every document, at N documents and at ten times N.

Generated passages in MS MARCO's layout go through the study's own code, each step in a process of its own;
the figure is the most memory that the process held resident. Only the encoder is a stand-in: a random vector
a word, averaged, which is a random projection of the words and takes no time. What may grow is what a step
is there to make: ``Flat`` holds all vectors, ``IVF…,PQ…`` some bytes of each.
"""

from __future__ import annotations

import argparse
import itertools
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

SYLLABLES = ["ba", "de", "fi", "go", "hu", "ka", "le", "mi", "no", "pu"]
WORDS = ["".join(syllables) for syllables in itertools.product(SYLLABLES, repeat=3)]
DIMENSION = 64
QUERIES = 100


def write_passages(folder: Path, count: int, words: int) -> None:
    """Write ``collection.tsv`` with ``count`` passages of ``words`` words, and queries of each split."""
    generator = random.Random(0)
    folder.mkdir()
    with (folder / "collection.tsv").open("w") as file:
        file.writelines(f"{i}\t{' '.join(generator.choices(WORDS, k=words))}\n" for i in range(count))
    for number, split in enumerate(("train", "dev", "test")):
        queries = range(number * QUERIES, (number + 1) * QUERIES)
        text = "".join(f"{q}\t{' '.join(generator.choices(WORDS, k=3))}\n" for q in queries)
        (folder / f"queries.{split}.tsv").write_text(text)
        (folder / f"qrels.{split}.tsv").write_text("".join(f"{q}\t0\t{q}\t1\n" for q in queries))


def write_stand_in(folder: Path) -> None:
    """Write a retriever whose vectors are the means of random vectors of the words."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    from peftir.models import saving
    from peftir.models.biencoder import new_biencoder

    backbone = folder / "backbone"
    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", *WORDS])}
    shape = {"hidden_size": DIMENSION, "num_hidden_layers": 0, "num_attention_heads": 1}
    BertModel(BertConfig(vocab_size=len(vocabulary), **shape)).save_pretrained(backbone)
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(
        backbone
    )
    model = new_biencoder(str(backbone), pooling="mean", query_length=32, document_length=64)
    saving.save(model, folder / "model", str(backbone))


def prepare(folder: Path) -> None:
    """Read the TSV files and write the collection."""
    from peftir.data.prepare import prepare

    source = f"msmarco-passage:{folder / 'passages'}"
    prepare(source, folder / "collection", documents=None, splits={"train": 0.8, "dev": 0.1, "test": 0.1})


def bm25(folder: Path) -> None:
    """Index with Lucene, search 100 queries."""
    from peftir.data.collection import Collection
    from peftir.ranking.bm25 import build_index, search

    collection = Collection(folder / "collection")
    build_index(collection.texts(), folder / "bm25", threads=2)
    search(folder / "bm25", collection.queries("test"), k1=0.9, b=0.4, depth=100, threads=2)


def texts(folder: Path) -> None:
    """Look up 1,000 documents by id, as training does."""
    from peftir.data.collection import Collection
    from peftir.data.texts import DocumentTexts

    collection = Collection(folder / "collection")
    count = collection.count_documents()
    ids = [str(i) for i in range(0, count, max(1, count // 1000))]
    look_up = DocumentTexts(collection, ids)
    for start in range(0, len(ids), 50):
        look_up(ids[start : start + 50])


def encode(folder: Path) -> None:
    """Encode into shards."""
    _vectors(folder)


def flat(folder: Path) -> None:
    """From the shards into a Flat index, search 100 queries."""
    _index(folder, "Flat")


def ivfpq(folder: Path) -> None:
    """From the shards into an IVF256,PQ16 index, search 100 queries."""
    _index(folder, "IVF256,PQ16", "nprobe=16")


def _vectors(folder: Path) -> tuple:
    from sentence_transformers import SentenceTransformer

    from peftir.data.collection import Collection
    from peftir.models import saving
    from peftir.pipeline.encode import encode_collection

    collection, place = Collection(folder / "collection"), folder / "model"
    model = saving.load(SentenceTransformer, place)
    vectors = encode_collection(collection, model, place, folder / "shards", precision="float32", processes=1)
    return collection, model, vectors


def _index(folder: Path, factory: str, parameters: str = "") -> None:
    from peftir.models.biencoder import encode
    from peftir.ranking.dense import DenseIndex, build_index

    collection, model, vectors = _vectors(folder)
    place = folder / factory
    build_index(vectors, factory, place, count=collection.count_documents(), sample=100_000)
    queries = collection.queries("test")
    found = encode(model, list(queries.values()), "query", "float32")
    DenseIndex(place, parameters).search(list(queries), found, 100)


STEPS: dict[str, Callable[[Path], None]] = {
    step.__name__: step for step in (prepare, bm25, texts, encode, flat, ivfpq)
}


def measured(step: str, folder: Path) -> tuple[int, float]:
    """Run ``step`` in a process of its own; gives its peak memory in MB and its seconds."""
    command = [sys.executable, __file__, "--step", step, "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{step} failed:\n{done.stderr}")
    memory, seconds = done.stdout.split()[-2:]
    return int(memory), float(seconds)


def main() -> None:
    """Print a line per step: both sizes' memory, their ratio, and both times."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="example: python benchmarks/scale.py --documents 100000"
    )
    parser.add_argument("--documents", type=int, default=100_000, help="N (default 100000)")
    parser.add_argument("--words", type=int, default=12, help="words of a passage (default 12)")
    parser.add_argument(
        "--step", choices=STEPS, help="run this step alone; print its peak memory and seconds"
    )
    parser.add_argument("--folder", type=Path, help="where --step works")
    arguments = parser.parse_args()
    if arguments.step:
        from time import perf_counter

        from peftir.system.resources import peak_memory_mb

        start = perf_counter()
        STEPS[arguments.step](arguments.folder)
        print(peak_memory_mb(), round(perf_counter() - start, 1))
        return
    sizes = (arguments.documents, 10 * arguments.documents)
    heads = [f"{what}, {size:,}" for what in ("MB", "s") for size in sizes]
    print(f"{'step':8}" + "".join(f"{head:>16}" for head in heads) + "  MB, ratio")
    with tempfile.TemporaryDirectory() as root:
        places = [Path(root) / str(size) for size in sizes]
        for place, size in zip(places, sizes, strict=True):
            place.mkdir()
            write_passages(place / "passages", size, arguments.words)
            write_stand_in(place)
        for step, work in STEPS.items():
            figures = [measured(step, place) for place in places]
            cells = [f"{figure:,}" for figure in (*(m for m, _ in figures), *(s for _, s in figures))]
            ratio = figures[1][0] / figures[0][0]
            columns = "".join(f"{cell:>16}" for cell in cells)
            print(f"{step:8}{columns}{ratio:>11.2f}  {work.__doc__}", flush=True)


if __name__ == "__main__":
    main()
