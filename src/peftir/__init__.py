"""Parameter-efficient tuning for information retrieval: the study's parts.

What each of these packages exports, its ``__all__``, is for use in your own code:

- :mod:`peftir.tuners`: the tuning methods, as PEFT methods;
- :mod:`peftir.data`: collections, and sources of them;
- :mod:`peftir.ranking`: runs, measures, interpolation;
- :mod:`peftir.models`: bi-encoders and cross-encoders;
- :mod:`peftir.training`: the losses;
- :mod:`peftir.statistics`: tests and intervals;
- :mod:`peftir.learning`: convergence, loss surfaces, sharpness;
- :mod:`peftir.study`: the params of a study, and its layout.

The other packages are internal: what is in them may change without a word.
"""
