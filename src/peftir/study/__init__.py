"""A study's params, its seeds, and the paths of its artefacts.

:mod:`peftir.study.layout` has the paths, relative to the study's folder:

>>> from peftir.study import layout
>>> layout.model("retriever", "lora", 13).as_posix()
'models/retriever/lora-13'

:func:`load_params` reads and checks ``params.yaml``:

>>> import tempfile
>>> from pathlib import Path
>>> from peftir.study import Params, load_params
>>> path = Path(tempfile.mkdtemp()) / "params.yaml"
>>> load_params(path)  # doctest: +ELLIPSIS
Traceback (most recent call last):
    ...
peftir.system.errors.PeftirError: ...params.yaml: not found; run from the folder that holds params.yaml
>>> sorted(Params.model_fields)[:4]
['backbone', 'bm25', 'chains', 'collection']
"""

from peftir.system.exports import on_first_use

__all__, __getattr__, __dir__ = on_first_use(__name__, {"params": ("Params", "load_params")})
