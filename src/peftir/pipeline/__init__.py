"""What each stage of the pipeline does: a file a stage. Internal: the stages and the command use it."""

__all__: list[str] = []
