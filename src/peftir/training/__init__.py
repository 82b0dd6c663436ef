"""The training of a model: examples, loop, checkpoints, several processes."""
