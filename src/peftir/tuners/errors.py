"""What goes wrong when a tuner is asked for."""


class TunerError(ValueError):
    """A method, a knob or a model that a tuner cannot work with.

    The message is one line: the key, the value found, what was expected and what to do about it.
    """
