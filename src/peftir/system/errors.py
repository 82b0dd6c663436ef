"""Errors that are for the person who made the mistake."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable

from peftir.system.text import print_anything


class PeftirError(Exception):
    """A mistake that a person can mend.

    The message is one line: what (the file and line, or the key), the value found, what was expected and what
    to do about it.
    """


def exits_cleanly(main: Callable[..., None]) -> Callable[..., None]:
    """Decorate the entry point of a command: a :class:`PeftirError` prints as one line and exits with 1.

    Any other exception keeps its traceback, since it is our mistake and not the user's.
    """

    @functools.wraps(main)
    def run(*args: object, **kwargs: object) -> None:
        print_anything(sys.stdout)
        try:
            main(*args, **kwargs)
        except PeftirError as error:
            print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
            sys.exit(1)
        except BrokenPipeError:
            # Whoever read this, such as head, has seen enough; Python would complain again at its exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)

    return run
