"""``peftir repro``: what ``dvc repro`` would run, several stages at a time, here or on a Ray cluster.

Internal: the command uses it.
"""

__all__: list[str] = []
