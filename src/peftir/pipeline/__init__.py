"""The stages of the pipeline, one module each. Internal: used by the stages and the command."""

__all__: list[str] = []
