"""Significance tests, confidence intervals and comparisons of systems.

Two systems are compared by their differences on the same queries with the same seeds, ``[seeds, queries]``:

>>> import numpy as np
>>> from peftir.statistics import t_test, two_level_test
>>> differences = np.array([[0.1, 0.3, 0.2, 0.4], [0.0, 0.2, -0.1, 0.1]])
>>> found = t_test(differences)
>>> round(found.mean, 3), round(found.low, 3), round(found.high, 3), round(found.p, 3)
(0.15, -0.034, 0.334, 0.081)
>>> round(two_level_test(differences).p, 3)  # generalizes over seeds too
0.341

>>> from peftir.statistics import holm, randomization_test
>>> p = randomization_test(differences.mean(axis=0)[:, None])  # [queries, pairs]
>>> p.tolist()  # 2 of 16: the observed signs and their opposites
[0.125]
>>> [round(value, 3) for value in holm([0.01, 0.04, 0.03])]
[0.03, 0.06, 0.06]

>>> from peftir.statistics import intervals
>>> values = np.random.default_rng(0).random((3, 2, 50))  # [systems, seeds, queries]
>>> intervals(values).shape
(3, 2)
"""

from peftir.statistics.bootstrap import intervals
from peftir.statistics.significance import Difference, holm, randomization_test, t_test, two_level_test

__all__ = ["Difference", "holm", "intervals", "randomization_test", "t_test", "two_level_test"]
