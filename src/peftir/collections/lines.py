"""Text files read line by line, each line with its place for messages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from peftir.errors import PeftirError


def lines_of(path: Path) -> Iterator[tuple[str, str]]:
    """Yield ``(place, line)`` for the lines of a UTF-8 file that are not blank; ``place`` is ``path:number``.

    A byte order mark at the start and the ends of lines, of Unix or of Windows, are dropped.

    Raises:
        PeftirError: the file is missing, or a line is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            for number, data in enumerate(file, start=1):
                try:
                    line = data.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
                except UnicodeDecodeError as error:
                    raise PeftirError(
                        f"{path}:{number}: is not UTF-8 (byte {error.start + 1}); save the file as UTF-8"
                    ) from None
                if line.strip():
                    yield f"{path}:{number}", line
    except FileNotFoundError:
        raise PeftirError(f"{path}: is missing; expected a file") from None
    except OSError as error:
        raise PeftirError(f"{path}: cannot be read ({error.strerror})") from error
