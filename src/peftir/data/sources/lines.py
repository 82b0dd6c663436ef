"""Text files read line by line, plain or gzipped, each line with its place for messages."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from peftir.data.content import Report, refuse


def lines_of(path: Path, report: Report = refuse) -> Iterator[tuple[str, str]]:
    """Yield ``(place, line)`` for the lines of a UTF-8 file that are not blank; ``place`` is ``path:number``.

    A file whose name ends in ``.gz`` is unpacked on the way. A byte order mark at the start and the ends of
    lines, of Unix or of Windows, are dropped. Reported are a line that is not UTF-8, and a file that is
    missing, cannot be read or is cut short.
    """
    number = 0
    try:
        with _opened(path) as file:
            for number, data in enumerate(file, start=1):
                try:
                    line = data.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
                except UnicodeDecodeError as error:
                    report(f"{path}:{number}: is not UTF-8 (byte {error.start + 1}); save the file as UTF-8")
                    continue
                if line.strip():
                    yield f"{path}:{number}", line
    except FileNotFoundError:
        report(f"{path}: is missing; expected a file")
    except EOFError:
        report(f"{path}:{number + 1}: the gzip file is cut short here; fetch it again")
    except (gzip.BadGzipFile, zlib.error) as error:
        report(
            f"{path}:{number + 1}: is not gzip ({error}); fetch it again, or rename it if it is plain text"
        )
    except OSError as error:
        report(f"{path}: cannot be read ({error.strerror}); expected a file")


def _opened(path: Path) -> BinaryIO:
    if path.suffix == ".gz":
        return cast(BinaryIO, gzip.open(path))
    return path.open("rb")
