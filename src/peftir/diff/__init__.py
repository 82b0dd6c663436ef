"""Compare two revisions of the study by the files in git: ``peftir diff``. Internal."""

__all__: list[str] = []
