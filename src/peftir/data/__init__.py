"""Documents, queries and relevance judgements: their sources, and their common format on disk.

A source returns a :class:`Content`, which is validated while it is written:

>>> import tempfile
>>> from pathlib import Path
>>> from peftir.data import Collection, Content, Document, Judgement, Query, write_collection
>>> judged = {split: [Judgement(f"q-{split}", "d1", 1)] for split in ("train", "dev", "test")}
>>> content = Content(
...     documents=[Document("d1", "sort", "Returns a sorted copy."), Document("d2", "", "Opens a file.")],
...     qrels=judged,
...     queries=[Query(f"q-{split}", "sort an array") for split in judged],
...     origin={"source": "by hand"},
... )
>>> folder = Path(tempfile.mkdtemp()) / "collection"
>>> manifest = write_collection(folder, content)
>>> manifest["documents"]
2

:class:`Collection` reads it:

>>> collection = Collection(folder)
>>> dict(collection.texts())
{'d1': 'sort Returns a sorted copy.', 'd2': 'Opens a file.'}
>>> collection.queries("test"), collection.qrels("test")
({'q-test': 'sort an array'}, {'q-test': {'d1': 1}})

A function that returns a ``Content`` becomes a source, also for ``collection.source``, when it is added to
``SOURCES``. ``read_source`` opens a source by its name:

>>> from peftir.data import SOURCES, read_source
>>> SOURCES["mine"] = lambda place, documents, splits, report: content
>>> len(read_source("mine:anywhere", documents=None, splits={}).documents)
2
>>> del SOURCES["mine"]
"""

from peftir.system.exports import on_first_use

__all__, __getattr__, __dir__ = on_first_use(
    __name__,
    {
        "collection": ("Collection",),
        "content": ("Content", "Document", "Judgement", "Query"),
        "prepare": ("SOURCES", "read_source"),
        "writing": ("write_collection",),
    },
)
