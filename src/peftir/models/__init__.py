"""Bi-encoders and cross-encoders: building, running, saving and loading them.

Both are sentence-transformers models. The backbone is a hub id or a local folder:

>>> from peftir.models import encode, new_biencoder
>>> backbone = "sentence-transformers/all-MiniLM-L6-v2"
>>> retriever = new_biencoder(backbone, pooling="mean", query_length=16, document_length=32)
>>> documents = encode(retriever, ["Returns a sorted copy.", "Opens a file."], "document", "float32")
>>> documents.shape
(2, 384)
>>> queries = encode(retriever, ["sort an array"], "query", "float32")
>>> (queries @ documents.T).argmax(axis=1).tolist()
[0]

>>> import torch
>>> from peftir.models import new_crossencoder, score
>>> reranker = new_crossencoder(backbone, length=32)  # with a new head, to be trained
>>> score(reranker, [("sort an array", "Returns a sorted copy.")], "float32").shape
(1,)

:func:`peftir.tuners.attach` attaches a method to the transformers model ``model[0].model``. :func:`save`
writes only the adapter and the head. :func:`load` restores the same model or raises an error:

>>> import tempfile
>>> from pathlib import Path
>>> from sentence_transformers import SentenceTransformer
>>> from peftir.models import load, save
>>> from peftir.tuners import attach
>>> settled = attach(retriever[0].model, "iaa_l", budget=0.005)
>>> folder = Path(tempfile.mkdtemp()) / "retriever"
>>> save(retriever.eval(), folder, backbone)
>>> loaded = load(SentenceTransformer, folder)
>>> bool((encode(loaded, ["sort an array"], "query", "float32") == queries).all())
True
"""

from peftir.system.exports import on_first_use

__all__, __getattr__, __dir__ = on_first_use(
    __name__,
    {
        "biencoder": ("encode", "new_biencoder"),
        "crossencoder": ("new_crossencoder", "score"),
        "saving": ("load", "save"),
    },
)
