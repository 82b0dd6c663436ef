"""Runs and measures, BM25, the faiss index, interpolation.

A run has the hits of each query, best first, as (document, score) pairs. :func:`write_run` and
:func:`read_run` handle TREC run files:

>>> import tempfile
>>> from pathlib import Path
>>> from peftir.ranking import read_run, write_run
>>> run = {"q1": [("d3", 2.5), ("d1", 2.0), ("d2", 0.5)], "q2": [("d2", 1.0)]}
>>> path = Path(tempfile.mkdtemp()) / "run.trec"
>>> write_run(path, run, tag="mine")
>>> print(path.read_text(), end="")
q1 Q0 d3 1 2.5 mine
q1 Q0 d1 2 2.0 mine
q1 Q0 d2 3 0.5 mine
q2 Q0 d2 1 1.0 mine
>>> read_run(path) == run
True

Measures are named as in ir-measures. :func:`evaluate` returns values per query, :func:`mean_of` a mean:

>>> from peftir.ranking import evaluate, mean_of
>>> qrels = {"q1": {"d1": 1}, "q2": {"d2": 1}}
>>> evaluate(run, qrels, ["RR@10"])
  query measure  value
0    q1   RR@10    0.5
1    q2   RR@10    1.0
>>> mean_of(run, qrels, "RR@10")
0.75

Candidates are re-ranked by a re-ranker's scores (:func:`rerank`) or by scores interpolated with the first
stage's (:func:`interpolate`), with a weight tuned on held-out queries (:func:`choose_weight`):

>>> from peftir.ranking import choose_weight, interpolate, rerank
>>> scores = {"q1": [("d3", 0.1), ("d1", 0.9), ("d2", 0.2)], "q2": [("d2", 0.3)]}
>>> [document for document, _ in rerank(run, scores)["q1"]]
['d1', 'd2', 'd3']
>>> [document for document, _ in interpolate(run, scores, weight=0.5)["q1"]]
['d1', 'd3', 'd2']
>>> weight, tried = choose_weight(run, scores, qrels, "RR@10")
>>> tried[weight]
1.0
"""

from peftir.system.exports import on_first_use

__all__, __getattr__, __dir__ = on_first_use(
    __name__,
    {
        "interpolation": ("choose_weight", "interpolate", "rerank"),
        "measures": ("evaluate", "mean_of"),
        "runs": ("Run", "read_run", "write_run"),
    },
)
