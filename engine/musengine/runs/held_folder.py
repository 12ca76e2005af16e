"""A run's folder as a place to work in: where its files are, and that one process works there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from musengine.errors import UserError
from musengine.utils.files import is_aside, locked, remove_abandoned

_BEGINNING = ("choice.json", "versions.json", "split.json", "prompts.safetensors")
"""What is written before the pipeline makes a folder a run."""


@dataclass(frozen=True)
class HeldFolder:
    """The folder of a run, in which one process at a time works.

    Attributes:
        path: the folder.
    """

    path: Path

    @property
    def pipeline_file(self) -> Path:
        """The pipeline as resolved; its presence makes a folder a run."""
        return self.path / "pipeline.toml"

    @property
    def checkpoints(self) -> Path:
        """Where the weights are."""
        return self.path / "checkpoints"

    @property
    def samples(self) -> Path:
        """Where generated pieces go."""
        return self.path / "samples"

    @property
    def prompts(self) -> Path:
        """The file with the stored prompts."""
        return self.path / "prompts.safetensors"

    @property
    def samplers(self) -> Path:
        """The file with what the samplers learned when the run began."""
        return self.path / "samplers.safetensors"

    @property
    def exists(self) -> bool:
        """Whether a run is in the folder already."""
        try:
            return self.pipeline_file.is_file()
        except OSError as error:
            raise UserError(
                f"cannot read {self.pipeline_file}: {error.strerror or error}", code="cannot-read"
            ) from error

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes out; a folder in which nothing came to be is removed again.

        What a process that was killed left half written is deleted, also a folder that it had only
        half begun.

        Raises:
            UserError: another process holds it, it cannot be written, or it is something else.
        """
        self.refuse_links()
        self._refuse_foreign()
        message = f"{self.path} is in use by another musengine process; wait for it, or use --new"
        fresh = False
        try:
            # Links are refused before the lock is made, since making it already writes into the
            # folder.
            with locked(self.path / "run.lock", message):
                for folder in (self.path, self.checkpoints, self.samples):
                    # Only with the lock: files that another process is writing look the same.
                    remove_abandoned(folder)
                try:
                    self._remove_half_begun()
                    yield
                finally:
                    # Whether anything came to be is asked while the lock is held; the lock's file
                    # itself can only be deleted once it is released, as Windows deletes no open
                    # file.
                    fresh = not self.exists
                    self._remove_half_begun()
        finally:
            if fresh:
                with contextlib.suppress(OSError):
                    (self.path / "run.lock").unlink(missing_ok=True)
                    self.path.rmdir()

    def refuse_links(self) -> None:
        """Refuse a folder with links that lead out of it: what is written stays inside.

        Raises:
            UserError: there is one; names it.
        """
        home = self.path.resolve()
        for folder in (self.path, self.checkpoints, self.samples):
            for entry in _entries(folder):
                if entry.is_symlink() and not entry.resolve().is_relative_to(home):
                    raise UserError(
                        f"{entry} is a link that leads out of the run folder, in which alone a run "
                        "writes and deletes; put a copy in its place",
                        code="link-outside",
                    )

    def _refuse_foreign(self) -> None:
        """Refuse a folder that is neither a run, nor one half begun, nor empty."""
        if self.exists:
            return
        if self.path.is_dir():
            # Without our lock in it, files of these names are a stranger's.
            own = {"run.lock", *_BEGINNING} if (self.path / "run.lock").is_file() else set()
            others = [
                entry.name
                for entry in self.path.iterdir()
                if entry.name not in own and not (own and is_aside(entry.name))
            ]
            if others:
                raise UserError(
                    f"{self.path} is not a run folder (it holds {sorted(others)[0]}); "
                    "name another with --run-dir",
                    code="folder-not-empty",
                )
        elif self.path.exists():
            raise UserError(
                f"{self.path} is a file; name another folder with --run-dir", code="file-not-folder"
            )

    def _remove_half_begun(self) -> None:
        """Delete what a run begins with, where its pipeline, the last of it, is not there."""
        if self.path.is_dir() and not self.exists:
            for name in _BEGINNING:
                with contextlib.suppress(OSError):
                    (self.path / name).unlink(missing_ok=True)


def _entries(folder: Path) -> list[Path]:
    """Return what is in a folder; nothing where it is none or cannot be read."""
    try:
        return list(folder.iterdir())
    except OSError:
        return []
