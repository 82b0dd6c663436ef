"""Reading the study's files as they are at a git revision, or in the workspace."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from peftir.system.errors import PeftirError
from peftir.system.files import unusable
from peftir.system.git import ask

PARAMS = Path("params.yaml")


@dataclass(frozen=True)
class Revision:
    """A commit of the repository that holds the study, or its workspace."""

    root: Path
    """The folder that holds ``params.yaml``."""
    name: str
    """As the user gave it, or ``workspace``."""
    commit: str | None
    """The commit's full hash; None for the workspace."""

    @property
    def title(self) -> str:
        """The name, and the commit where the name does not say it."""
        if self.commit is None:
            return self.name
        return self.commit[:7] if self.commit.startswith(self.name) else f"{self.name} ({self.commit[:7]})"

    def read(self, path: Path, remedy: str) -> bytes:
        """The content of ``path``.

        Raises:
            PeftirError: it is not there; ``remedy`` says what to do.
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
    """The nearest of ``folder`` and those around it that has a ``params.yaml``; ``folder`` if none has."""
    around = (folder, *folder.resolve().parents)
    return next((each for each in around if (each / PARAMS).is_file()), folder)


def workspace(root: Path) -> Revision:
    """The files as they lie in ``root``, committed or not."""
    return Revision(root, "workspace", None)


def revision(root: Path, name: str) -> Revision:
    """The commit that git calls ``name`` in the repository around ``root``, or that ``dvc exp show`` does.

    Raises:
        PeftirError: there is no git, no repository or no such commit, or the clone is too shallow to have it
            or belongs to another user.
    """
    done = ask(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    if done.returncode:
        # Where DVC keeps experiments, by name, below the commit that each started from.
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
