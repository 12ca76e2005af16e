"""The folder a run leaves: what is in it, and how it is found."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli_w

from musengine.config.toml import SettingsSource, apply, read
from musengine.data.dataset import Dataset
from musengine.errors import ConfigError, UserError
from musengine.generation.prompts import steps_needed, store_prompts
from musengine.generation.written import Known, settings_of
from musengine.interfaces.encoder import Encoder
from musengine.music.prevailing import Prevailing
from musengine.pipeline.resolve import Pipeline, resolve_pipeline
from musengine.plugins.registry import Registry
from musengine.runs.changes import refuse_changes
from musengine.runs.held_folder import HeldFolder
from musengine.runs.needed_plugins import with_needed
from musengine.runs.versions import versions
from musengine.utils.files import (
    append_text,
    read_json_lines,
    read_table,
    well_formed,
    write_json,
    write_text,
)
from musengine.utils.format import counted

if TYPE_CHECKING:
    from musengine.distributed.ranks import Ranks

RUNS = Path("runs")

_STEP = re.compile(r"step-([0-9]{9,15})_")
"""What a checkpoint's file name begins with."""

_NAMED = 10
"""Checkpoints that are named where one is missing."""


@dataclass(frozen=True)
class RunFolder(HeldFolder):
    """One run's folder, and what its files say."""

    def begin(self, pipeline: Pipeline, dataset: Dataset, encoder: Encoder[Any]) -> None:
        """Write what a fresh run starts with; the pipeline last, since it makes it a run."""
        read_through = {"read_through": dataset.libraries}
        write_json(self.path / "versions.json", versions(pipeline) | read_through)
        self.write_split(dataset)
        held_out = [*dataset.parts["valid"], *dataset.parts["test"]]
        pieces = held_out or dataset.parts["train"]
        wanted = pipeline.generate
        prevailing = {piece.id: piece.prevailing for piece in pieces}
        known = {name: Known(wanted, own) for name, own in prevailing.items()}
        settings = {name: settings_of(each) for name, each in known.items()}
        offset, length = wanted.prompt_offset.length, wanted.prompt_length
        needed = steps_needed(pieces, offset, length, encoder, settings)
        store_prompts(pieces, encoder.layout, self.prompts, prevailing, needed)
        # A killed process leaves either no pipeline, and what there is counts as half begun, or all
        # of it.
        self.write_pipeline(pipeline)

    def write_pipeline(self, pipeline: Pipeline) -> None:
        """Write the pipeline as resolved."""
        write_text(self.pipeline_file, _as_toml(pipeline))

    def write_split(self, dataset: Dataset) -> None:
        """Write which piece is in which part, and what was left out and why."""
        write_json(
            self.path / "split.json",
            {
                "parts": dataset.fingerprints(),
                "skipped": [[entry.path, entry.reason] for entry in dataset.skipped],
                "dropped": dict(dataset.dropped),
                "ignored": dict(dataset.ignored),
                "notices": dataset.notices,
                "warnings": {name: list(lines) for name, lines in dataset.warnings.items()},
                "copies": dataset.copies,
                "straddling": dataset.straddling,
                "files": list(dataset.files),
            },
        )

    def known_files(self) -> frozenset[str] | None:
        """Return the ids of the files that the run began with; None where it has none listed."""
        path = self.path / "split.json"
        files = read_table(path).get("files") if path.is_file() else None
        with well_formed(path):
            return None if files is None else frozenset(files)

    def check_split(self, dataset: Dataset) -> None:
        """Refuse to go on with other music than the run began with.

        Raises:
            UserError: pieces were added, removed or changed.
        """
        path = self.path / "split.json"
        with well_formed(path):
            before = read_table(path)["parts"]
            old = {print_ for part in before.values() for print_ in part.values()}
        if (now := dataset.fingerprints()) == before:
            return
        new = {print_ for part in now.values() for print_ in part.values()}
        raise UserError(
            f"the music is not what {self.path} was begun with ({counted(len(new - old), 'piece')} "
            f"new, {len(old - new)} gone); put it back as it was, or start afresh with --new",
            code="music-changed",
        )

    def read_pipeline(self, registry: Registry, settings: Sequence[str] = ()) -> Pipeline:
        """Read the run's own pipeline, with `--set` settings that do not change what the run is.

        Raises:
            UserError: not a run folder, a plugin is missing, or a setting cannot change.
        """
        source = self._source()
        self.refuse_links()
        for assignment in settings:
            apply(source, assignment)
        try:
            pipeline = resolve_pipeline(source, registry)
        except ConfigError as error:
            raise with_needed(error, self.path, registry) from error
        if settings:
            # Resolved anew, so that keys which came with a later version count as their defaults.
            refuse_changes(self.path, resolve_pipeline(self._source(), registry).tables(), pipeline)
        return pipeline

    def require(self) -> None:
        """Look whether a run is in the folder.

        Raises:
            UserError: there is none.
        """
        if not self.exists:
            raise UserError(
                f"{self.path} is not a run folder: it has no pipeline.toml", code="not-a-run-folder"
            )

    def _source(self) -> SettingsSource:
        self.require()
        return read(self.pipeline_file)

    def log(self, record: Mapping[str, Any]) -> None:
        """Append one line to metrics.jsonl.

        Raises:
            UserError: the run was taken away, which a checkpoint's folder made anew would hide.
        """
        # append_text would make a removed folder anew, with a log but no run in it.
        if not self.exists:
            raise UserError(
                f"{self.path} was removed or renamed while the run was at work; nothing more is "
                "written there: begin it again",
                code="run-folder-gone",
            )
        append_text(self.path / "metrics.jsonl", json.dumps(record, sort_keys=True) + "\n")

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield what stands in metrics.jsonl; lines that were cut short are left out."""
        path = self.path / "metrics.jsonl"
        if path.is_file():
            yield from read_json_lines(path)

    def forget_after(self, step: int, unlogged: int = 0) -> None:
        """Drop the lines of metrics.jsonl about steps that will be done again.

        Args:
            step: the last that is done.
            unlogged: of how many steps up to it the loss is still to be written. A run that ended
                there has written it, and one that goes on counts it to its next line.
        """
        path = self.path / "metrics.jsonl"
        if not path.is_file():
            return
        kept = [
            record
            for record in read_json_lines(path)
            if isinstance(at := record.get("step", 0), int)
            and at <= (step - unlogged if "loss" in record else step)
        ]
        write_text(path, "".join(f"{json.dumps(each, sort_keys=True)}\n" for each in kept))

    def write_corpus(self, dataset: Dataset, ranges: Mapping[str, Any]) -> None:
        """Write what the corpus is like, and what of it the arrays do not hold.

        Args:
            dataset: the corpus.
            ranges: what its training part is like, beside which generated pieces are judged.
        """
        left_out = {what: asdict(each) for what, each in dataset.left_out.items()}
        prevailing = dataset.most_frequent().as_json()
        write_json(
            self.path / "corpus.json",
            {"range": ranges, "left_out": left_out, "prevailing": prevailing},
        )

    def prevailing(self) -> Prevailing:
        """Return what most pieces of the training part have; nothing where that is not known."""
        path = self.path / "corpus.json"
        found = read_table(path).get("prevailing", {}) if path.is_file() else {}
        with well_formed(path):
            return Prevailing.from_json(found)

    def corpus_range(self) -> dict[str, Any]:
        """Return what the training part is like; nothing where that was not learned."""
        path = self.path / "corpus.json"
        found = read_table(path).get("range", {}) if path.is_file() else {}
        with well_formed(path):
            return dict(found)

    def state(self) -> dict[str, Any]:
        """Return what is known of the run's progress beyond its checkpoints."""
        path = self.path / "state.json"
        if not path.is_file():
            return {}
        state = read_table(path)
        with well_formed(path):
            if (best := state.get("best")) is not None:
                _look_at_best(**best)
        return state

    @property
    def is_own(self) -> bool:
        """Whether it is a run that goes on, and no trained model, which is read alone."""
        return (self.path / "state.json").is_file()

    def write_state(self, **values: Any) -> None:
        """Change some values of the run's state."""
        write_json(self.path / "state.json", {**self.state(), **values})

    def write_evaluation(self, results: Mapping[str, Mapping[str, Any]]) -> None:
        """Write the figures of some parts; those of other parts stay."""
        path = self.path / "evaluation.json"
        before = read_table(path) if path.is_file() else {}
        write_json(path, {**before, **without_nan(results)})

    def checkpoint_paths(self) -> list[Path]:
        """Return the checkpoints, oldest first."""
        try:
            found = list(self.checkpoints.iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise UserError(
                f"cannot read {self.checkpoints}: {error.strerror or error}", code="cannot-read"
            ) from error
        return sorted(
            path for path in found if path.suffix == ".safetensors" and _STEP.match(path.name)
        )

    def checkpoint_for(self, which: str | int | Path) -> Path:
        """Return a checkpoint: `best`, `last`, the one after a step, or a file by itself.

        Raises:
            UserError: there is none yet, or not that one.
        """
        if isinstance(which, Path):
            if not which.is_file():
                message = f"generate.checkpoint: there is no file {which}"
                raise UserError(message, code="checkpoint-missing")
            return which
        paths = self.checkpoint_paths()
        if not paths:
            raise UserError(
                f"{self.path} holds no checkpoint yet; train it with `musengine train`",
                code="no-checkpoint",
            )
        best = self.checkpoints / str(self.state().get("best", {}).get("checkpoint"))
        if which == "best" and best in paths:
            return best
        if isinstance(which, int):
            return self._checkpoint_after(which)
        return paths[-1]

    def _checkpoint_after(self, step: int) -> Path:
        paths = {_step(path): path for path in self.checkpoint_paths()}
        if step in paths:
            return paths[step]
        near = sorted(sorted(paths, key=lambda there: abs(there - step))[:_NAMED])
        others = len(paths) - len(near)
        more = f" and {counted(others, 'other')}" if others else ""
        raise UserError(
            f"{self.path} holds no checkpoint after step {step}, only after "
            f"{', '.join(map(str, near))}{more} (training.keep_checkpoints says how many stay)",
            code="checkpoint-missing",
        )

    def remove_old_checkpoints(self, keep: int) -> None:
        """Delete all but the newest few and the best."""
        best = self.state().get("best", {}).get("checkpoint")
        for path in self.checkpoint_paths()[:-keep]:
            if path.name != best:
                path.unlink(missing_ok=True)


def _look_at_best(*, checkpoint: str, figure: float = 0.0, step: int = 0) -> None:
    """Look whether what a state says of the best checkpoint is of the right kind.

    Raises:
        TypeError: it is not.
    """
    numbers = all(type(each) in (int, float) for each in (figure, step))
    if not numbers or not isinstance(checkpoint, str):
        raise TypeError("what it says of the best checkpoint is of another kind")


def _step(checkpoint: Path) -> int:
    match = _STEP.match(checkpoint.name)
    return int(match[1]) if match else -1


def _as_toml(pipeline: Pipeline) -> str:
    """Return a pipeline's tables as TOML.

    Raises:
        UserError: a name in it is not UTF-8, which TOML cannot hold.
    """
    text = tomli_w.dumps(pipeline.tables())
    try:
        text.encode()
    except UnicodeEncodeError as error:
        line = text[: error.end].splitlines()[-1]
        raise UserError(
            f"a name in the pipeline is not UTF-8, which no file of settings can hold: {line}; "
            "rename it",
            code="not-utf-8",
        ) from error
    return text


def is_run_folder(path: Path) -> bool:
    """Return whether a folder holds a run."""
    return RunFolder(path).exists


def find_folder(
    name: str, run_dir: Path | None, *, new: bool, ranks: Ranks | None = None
) -> RunFolder:
    """Return the folder of a pipeline's run: named, or `runs/NAME`, or the next free `NAME-N`.

    Args:
        name: of the pipeline.
        run_dir: the folder that was named, if any.
        new: take the next free one.
        ranks: the processes of a job, if it is one: started again by itself, it goes on with the
            folder that it took before.
    """
    path = run_dir if run_dir is not None else RUNS / name
    if not new:
        return RunFolder(path)
    number = 1
    while _numbered(path, number).exists():
        number += 1
    if ranks is not None:
        # The number alone: a store takes text, and a name need not be UTF-8.
        number = int(ranks.settled(f"folder/{os.fsencode(path).hex()}", str(number)))
    return RunFolder(_numbered(path, number))


def _numbered(path: Path, number: int) -> Path:
    return path if number == 1 else path.with_name(f"{path.name}-{number}")


def newest_run() -> RunFolder:
    """Return the run in `runs/` that was changed last.

    Raises:
        UserError: there is none.
    """
    found = [RunFolder(path) for path in RUNS.glob("*") if (path / "pipeline.toml").is_file()]
    if not found:
        raise UserError(f"no run in {RUNS.resolve()}; name a run folder", code="not-a-run-folder")
    return max(found, key=_last_change)


def _last_change(run: RunFolder) -> int:
    files = (run.pipeline_file, run.path / "state.json", run.path / "metrics.jsonl")
    return max(file.stat().st_mtime_ns for file in files if file.is_file())


def without_nan(value: Any) -> Any:
    """Return nested values with None for numbers that JSON does not know."""
    if isinstance(value, Mapping):
        return {key: without_nan(each) for key, each in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def fingerprint_of(tables: Mapping[str, Any], names: Sequence[str]) -> str:
    """Return a hash of some tables."""
    chosen = json.dumps([tables.get(name) for name in names], sort_keys=True, default=str)
    return hashlib.sha256(chosen.encode()).hexdigest()
