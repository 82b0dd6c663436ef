"""Search in a study's collection with its trained models: ``peftir serve``, ``peftir search``. Internal."""

__all__: list[str] = []
