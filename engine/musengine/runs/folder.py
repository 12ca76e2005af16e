"""The folder a run leaves: what is in it, how it is found, and what may change on continuing."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import math
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import tomli_w
from safetensors import numpy as tensors

from musengine.config.fields import Config, changeable_keys
from musengine.config.toml import SettingsSource, apply, read
from musengine.data.dataset import Dataset
from musengine.errors import ConfigError, Problem, UserError
from musengine.interfaces.encoder import Encoded, EncodedPiece
from musengine.pipeline.resolve import Pipeline, resolve
from musengine.plugins.registry import Registry
from musengine.utils.files import explained, locked, read_json, whole_file, write_json, write_text
from musengine.utils.format import counted

RUNS = Path("runs")
PROMPTS = 8
PROMPT_STEPS = 512

FREE_TABLES = frozenset({"run", "generate", "evaluate", "sampler", "output", "callback"})
"""Tables that may change when a run is continued; of the others only keys that say so."""


@dataclass(frozen=True)
class RunFolder:
    """One run's folder."""

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
    def exists(self) -> bool:
        """Whether a run is in the folder already."""
        return self.pipeline_file.is_file()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes out; a folder in which nothing came to be is removed again.

        Raises:
            UserError: another process holds it, it cannot be written, or it is something else.
        """
        if self.path.is_dir() and not self.exists:
            others = [entry.name for entry in self.path.iterdir() if entry.name != "run.lock"]
            if others:
                raise UserError(
                    f"{self.path} is not a run folder (it holds {sorted(others)[0]}); "
                    "name another with --run-dir"
                )
        elif self.path.exists() and not self.path.is_dir():
            raise UserError(f"{self.path} is a file; name another folder with --run-dir")
        message = f"{self.path} is in use by another musengine process; wait for it, or use --new"
        try:
            with locked(self.path / "run.lock", message):
                yield
        finally:
            if self.path.is_dir() and not self.exists:
                with contextlib.suppress(OSError):
                    (self.path / "run.lock").unlink(missing_ok=True)
                    self.path.rmdir()

    def begin(self, pipeline: Pipeline, dataset: Dataset) -> None:
        """Write what a fresh run starts with; the pipeline last, since it makes it a run."""
        read_through = {"read_through": dataset.libraries}
        write_json(self.path / "versions.json", versions(pipeline) | read_through)
        self.write_split(dataset)
        self._write_prompts(dataset)
        self.write_pipeline(pipeline)

    def write_pipeline(self, pipeline: Pipeline) -> None:
        """Write the pipeline as resolved."""
        write_text(self.pipeline_file, tomli_w.dumps(pipeline.tables()))

    def write_split(self, dataset: Dataset) -> None:
        """Write which piece is in which part, and what was left out and why."""
        write_json(
            self.path / "split.json",
            {
                "parts": dataset.fingerprints(),
                "skipped": [[entry.path, entry.reason] for entry in dataset.skipped],
                "lost": dict(dataset.lost),
                "ignored": dict(dataset.ignored),
                "notices": dataset.notices,
                "warnings": {name: list(lines) for name, lines in dataset.warnings.items()},
                "copies": dataset.copies,
                "straddling": dataset.straddling,
            },
        )

    def check_split(self, dataset: Dataset) -> None:
        """Refuse to go on with other music than the run began with.

        Raises:
            UserError: pieces were added, removed or changed.
        """
        before = read_json(self.path / "split.json")["parts"]
        if (now := dataset.fingerprints()) == before:
            return
        old = {print_ for part in before.values() for print_ in part.values()}
        new = {print_ for part in now.values() for print_ in part.values()}
        raise UserError(
            f"the music is not what {self.path} was begun with ({counted(len(new - old), 'piece')} "
            f"new, {len(old - new)} gone); put it back as it was, or start afresh with --new"
        )

    def read_pipeline(self, registry: Registry, settings: Sequence[str] = ()) -> Pipeline:
        """Read the run's own pipeline, with `--set` settings that do not change what the run is.

        Raises:
            UserError: not a run folder, a plugin is missing, or a setting cannot change.
        """
        source = self._source()
        for assignment in settings:
            apply(source, assignment)
        try:
            pipeline = resolve(source, registry)
        except ConfigError as error:
            raise ConfigError([*error.problems, *self._where_from(error)]) from error
        if settings:
            # Resolved anew, so that keys which came with a later version count as their defaults.
            refuse_changes(self.path, resolve(self._source(), registry).tables(), pipeline)
        return pipeline

    def _source(self) -> SettingsSource:
        if not self.exists:
            raise UserError(f"{self.path} is not a run folder: it has no pipeline.toml")
        return read(self.pipeline_file)

    def _where_from(self, error: ConfigError) -> list[Problem]:
        """Say which distributions the run's components came from, where one is not there now."""
        if not any("is installed" in problem.message for problem in error.problems):
            return []
        known = read_json(self.path / "versions.json").get("components", {})
        told = ", ".join(f"{name} from {origin}" for name, origin in sorted(known.items()))
        return [Problem(str(self.path), "", "", f"this run was made with {told}")]

    def log(self, record: Mapping[str, Any]) -> None:
        """Append one line to metrics.jsonl."""
        path = self.path / "metrics.jsonl"
        with explained(path), path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, sort_keys=True) + "\n")

    def forget_after(self, step: int) -> None:
        """Drop the lines of metrics.jsonl about steps that will be done again."""
        path = self.path / "metrics.jsonl"
        if not path.is_file():
            return
        kept = [
            line
            for line in path.read_text(encoding="utf-8").splitlines()
            if (record := _record(line)) is not None and record.get("step", 0) <= step
        ]
        write_text(path, "".join(f"{line}\n" for line in kept))

    def state(self) -> dict[str, Any]:
        """Return what is known of the run's progress beyond its checkpoints."""
        path = self.path / "state.json"
        return dict(read_json(path)) if path.is_file() else {}

    def write_state(self, **values: Any) -> None:
        """Change some values of the run's state."""
        write_json(self.path / "state.json", {**self.state(), **values})

    def write_evaluation(self, results: Mapping[str, Mapping[str, Any]]) -> None:
        """Write the figures of some parts; those of other parts stay."""
        path = self.path / "evaluation.json"
        before = read_json(path) if path.is_file() else {}
        write_json(path, {**before, **without_nan(results)})

    def checkpoint_paths(self) -> list[Path]:
        """Return the checkpoints, oldest first."""
        return sorted(self.checkpoints.glob("step-*.safetensors"))

    def checkpoint_for(self, which: str) -> Path:
        """Return the best or the last checkpoint.

        Raises:
            UserError: there is none yet.
        """
        paths = self.checkpoint_paths()
        best = self.checkpoints / str(self.state().get("best", {}).get("checkpoint"))
        if which == "best" and best in paths:
            return best
        if not paths:
            raise UserError(f"{self.path} holds no checkpoint yet; train it with `musengine train`")
        return paths[-1]

    def remove_old_checkpoints(self, keep: int) -> None:
        """Delete all but the newest few and the best."""
        best = self.state().get("best", {}).get("checkpoint")
        for path in self.checkpoint_paths()[:-keep]:
            if path.name != best:
                path.unlink(missing_ok=True)

    def _write_prompts(self, dataset: Dataset) -> None:
        """Store a few pieces' prompts, held-out ones first: generation then needs no corpus."""
        held_out = [piece for part in ("valid", "test", "train") for piece in dataset.parts[part]]
        for index, piece in enumerate(held_out[:PROMPTS]):
            arrays = {"steps": piece.encoded.steps[:PROMPT_STEPS]}
            arrays |= {
                f"side.{name}": channel[:PROMPT_STEPS]
                for name, channel in piece.encoded.conditioning.items()
            }
            contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
            data = tensors.save(contiguous, metadata={"id": piece.id})
            with whole_file(self.path / "prompts" / f"{index:02}.safetensors") as aside:
                aside.write_bytes(data)

    def read_prompts(self) -> list[EncodedPiece]:
        """Return the stored prompts.

        Raises:
            UserError: one of them is damaged.
        """
        pieces = []
        for path in sorted((self.path / "prompts").glob("*.safetensors")):
            try:
                with safetensors.safe_open(path, framework="numpy") as file:
                    arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                    name = (file.metadata() or {}).get("id", path.stem)
                steps = arrays.pop("steps")
            except (OSError, KeyError, safetensors.SafetensorError) as error:
                raise UserError(f"the stored prompt {path} is damaged: {error}") from error
            conditioning = {key.removeprefix("side."): side for key, side in arrays.items()}
            pieces.append(EncodedPiece(name, Encoded(steps=steps, conditioning=conditioning), ""))
        return pieces


def _record(line: str) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def refuse_changes(folder: Path, stored: Mapping[str, Any], pipeline: Pipeline) -> list[str]:
    """Return the keys that changed and may; refuse those that decide what the run is.

    Args:
        folder: the run's, for the message.
        stored: the tables the run was begun with.
        pipeline: what is wanted now.

    Raises:
        UserError: names every such key, its old and new value, and both ways out.
    """
    wanted, changeable = pipeline.tables(), _changeable(pipeline)
    allowed, refused = [], []
    for table in {**stored, **wanted}:
        old, new = stored.get(table, {}), wanted.get(table, {})
        if table in FREE_TABLES:
            allowed.extend([table] if old != new else [])
            continue
        for key in {**old, **new}:
            before, after = old.get(key), new.get(key)
            if before == after or _decided_by_run(table, key, before, after):
                continue
            if (table, key) in changeable:
                allowed.append(f"{table}.{key}")
            else:
                refused.append(f"{table}.{key} (was {before!r}, now {after!r})")
    if refused:
        raise UserError(
            f"{folder} was begun with other settings: {', '.join(refused)}; change them back, "
            "or start a new run with --new"
        )
    return allowed


def _changeable(pipeline: Pipeline) -> set[tuple[str, str]]:
    """Return the (table, key) pairs whose settings say that they may change."""
    configs: dict[str, Config | None] = {
        "corpus": pipeline.corpus,
        "training": pipeline.training,
        "encoder": pipeline.encoder.config,
        "model": pipeline.model.config,
        "loss": pipeline.loss.config if pipeline.loss is not None else None,
    }
    return {
        (table, key)
        for table, config in configs.items()
        if config is not None
        for key in changeable_keys(type(config))
    }


def _decided_by_run(table: str, key: str, before: Any, after: Any) -> bool:
    """Whether the run decided what the file leaves open, or what its device could not do."""
    if (table, key) == ("training", "precision"):
        return bool((before, after) == ("float32", "bfloat16"))
    return table == "training" and (key, after) in (("device", "auto"), ("threads", 0))


def is_run_folder(path: Path) -> bool:
    """Return whether a folder holds a run."""
    return RunFolder(path).exists


def find_folder(name: str, run_dir: Path | None, *, new: bool) -> RunFolder:
    """Return the folder of a pipeline's run: named, or `runs/NAME`, or the next free `NAME-N`."""
    path = run_dir if run_dir is not None else RUNS / name
    if new:
        number = 2
        first = path
        while path.exists():
            path = first.with_name(f"{first.name}-{number}")
            number += 1
    return RunFolder(path)


def newest_run() -> RunFolder:
    """Return the run in `runs/` that was changed last.

    Raises:
        UserError: there is none.
    """
    found = [RunFolder(path) for path in RUNS.glob("*") if (path / "pipeline.toml").is_file()]
    if not found:
        raise UserError(f"no run in {RUNS.resolve()}; name a run folder")
    return max(found, key=_last_change)


def _last_change(run: RunFolder) -> int:
    files = (run.pipeline_file, run.path / "state.json", run.path / "metrics.jsonl")
    return max(file.stat().st_mtime_ns for file in files if file.is_file())


def versions(pipeline: Pipeline) -> dict[str, Any]:
    """Return what the run was made with: Python, libraries, plugins and their components."""
    libraries = ("musengine", "torch", "numpy", "miditoolkit", "safetensors", "music21")
    installed = {}
    for name in libraries:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            installed[name] = importlib.metadata.version(name)
    components = {
        f"{part.entry.declaration.kind} {part.name}": str(part.entry.origin)
        for part in pipeline.components()
    }
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "distributions": installed,
        "components": components,
    }


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
