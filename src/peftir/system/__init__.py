"""Files, errors, processes: utilities that do not affect results. Internal."""

__all__: list[str] = []
