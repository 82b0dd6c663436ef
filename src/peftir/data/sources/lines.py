"""Read text files, plain or gzipped, line by line with line numbers."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from peftir.data.content import Report, refuse


def lines_of(path: Path, report: Report = refuse) -> Iterator[tuple[str, str]]:
    """Yield ``(place, line)`` for the non-blank lines of a UTF-8 file; ``place`` is ``path:number``.

    Files whose name ends in ``.gz`` are decompressed. A byte order mark and line endings, Unix or Windows,
    are removed. Lines that are not UTF-8, and a missing, unreadable or truncated file are reported.
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
