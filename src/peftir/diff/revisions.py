"""Read the study's files at a git revision or in the workspace."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from peftir.system.errors import PeftirError
from peftir.system.files import unusable
from peftir.system.git import ask

PARAMS = Path("params.yaml")
WORKSPACE = "workspace"


@dataclass(frozen=True)
class Revision:
    """A commit of the study's repository, its workspace, or another folder."""

    root: Path
    """The folder that holds ``params.yaml``."""
    name: str
    """The name given by the user, or ``WORKSPACE``."""
    commit: str | None
    """The commit's full hash; None for a folder."""

    @property
    def title(self) -> str:
        """The name, followed by the commit unless the name is its hash."""
        if self.commit is None:
            return self.name
        return self.commit[:7] if self.commit.startswith(self.name) else f"{self.name} ({self.commit[:7]})"

    def read(self, path: Path, remedy: str) -> bytes:
        """The content of the file ``path``.

        Raises:
            PeftirError: the file is missing or unreadable; ``remedy`` is part of the message.
        """
        if self.commit is None:
            try:
                return (self.root / path).read_bytes()
            except FileNotFoundError as error:
                raise PeftirError(f"{self._shown(path)}: not found; {remedy}") from error
            except OSError as error:
                raise unusable(self._shown(path), error) from error
        done = ask(self.root, "show", f"{self.commit}:./{path.as_posix()}")
        if done.returncode:
            raise PeftirError(f"{self.title}: has no {path} in git; {remedy}")
        return done.stdout

    def _shown(self, path: Path) -> Path:
        """``path`` in the workspace, for messages; in another folder, with the folder."""
        return path if self.name == WORKSPACE else Path(self.name) / path


def study_around(folder: Path) -> Path:
    """The nearest of ``folder`` and its parents that contains ``params.yaml``; ``folder`` if none does."""
    around = (folder, *folder.resolve().parents)
    return next((each for each in around if (each / PARAMS).is_file()), folder)


def workspace(root: Path) -> Revision:
    """The current files in ``root``, committed or not."""
    return Revision(root, WORKSPACE, None)


def revision_or_folder(root: Path, name: str) -> Revision:
    """The folder ``name``, or else the revision ``name`` in the repository of ``root``.

    Raises:
        PeftirError: as for :func:`revision`.
    """
    if Path(name).is_dir():
        return Revision(Path(name), name, None)
    try:
        return revision(root, name)
    except PeftirError as error:
        raise PeftirError(f"{error}; there is no folder '{name}' either") from error


def revision(root: Path, name: str) -> Revision:
    """The commit of the git revision or DVC experiment ``name`` in the repository of ``root``.

    Raises:
        PeftirError: git, the repository or the commit is missing; or the clone is shallow or belongs to
            another user.
    """
    done = ask(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    if done.returncode:
        # DVC stores experiments by name, below the commit on which each is based.
        done = ask(root, "for-each-ref", "--count=1", "--format=%(objectname)", f"refs/exps/*/*/{name}")
    if found := done.stdout.decode().strip():
        return Revision(root, name, found)
    shallow = ask(root, "rev-parse", "--is-shallow-repository")
    if shallow.returncode:
        raise PeftirError(f"{root.resolve()}: not in a git repository; run in a clone of the study")
    if shallow.stdout.strip() == b"true":
        raise PeftirError(
            f"{name}: not in this clone, which is shallow; run `git fetch --unshallow` "
            "(in GitHub Actions: actions/checkout with fetch-depth: 0)"
        )
    raise PeftirError(
        f"{name}: git knows no such revision; expected a commit, a tag, a branch or an experiment "
        "(`git branch --all` and `dvc exp show` list them)"
    )
