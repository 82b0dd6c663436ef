"""Read the study's files at a git revision or in the workspace."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from peftir.system.errors import PeftirError
from peftir.system.files import unusable
from peftir.system.git import ask

PARAMS = Path("params.yaml")


@dataclass(frozen=True)
class Revision:
    """A commit of the study's repository, or its workspace."""

    root: Path
    """The folder that holds ``params.yaml``."""
    name: str
    """The name given by the user, or ``workspace``."""
    commit: str | None
    """The commit's full hash; None for the workspace."""

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
                raise PeftirError(f"{path}: not found; {remedy}") from error
            except OSError as error:
                raise unusable(path, error) from error
        done = ask(self.root, "show", f"{self.commit}:./{path.as_posix()}")
        if done.returncode:
            raise PeftirError(f"{self.title}: has no {path} in git; {remedy}")
        return done.stdout


def study_around(folder: Path) -> Path:
    """The nearest of ``folder`` and its parents that contains ``params.yaml``; ``folder`` if none does."""
    around = (folder, *folder.resolve().parents)
    return next((each for each in around if (each / PARAMS).is_file()), folder)


def workspace(root: Path) -> Revision:
    """The current files in ``root``, committed or not."""
    return Revision(root, "workspace", None)


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
