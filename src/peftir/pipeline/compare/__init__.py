"""Compare several studies by what git keeps of them: ``peftir compare``. Internal."""

__all__: list[str] = []
