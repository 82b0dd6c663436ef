"""Files, errors, processes: what every room uses and no number follows from. Internal."""

__all__: list[str] = []
