"""``peftir repro``: ``dvc repro`` with several stages at a time, on one machine or on a Ray cluster.

Internal to that command.
"""

__all__: list[str] = []
