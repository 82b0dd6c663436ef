"""Errors of tuners."""


class TunerError(ValueError):
    """An invalid method or knob, or an unsupported model.

    The message is one line: the key, the value, what was expected and what to do.
    """
