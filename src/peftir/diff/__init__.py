"""Two states of the study compared from what git keeps of them: ``peftir diff``. Internal."""

__all__: list[str] = []
