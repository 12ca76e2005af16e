"""What may change when a run is continued, and what would make it another run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from musengine.config.fields import Config, changeable_keys
from musengine.config.toml import UNSET
from musengine.errors import UserError
from musengine.pipeline.resolve import Pipeline
from musengine.pipeline.sections import LISTS

FREE_TABLES = frozenset({"run", "generate", "evaluate", "report", *LISTS})
"""Tables that may change when a run is continued; of the others only keys that say so."""


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
            # UNSET lists the keys that a file sets back to their defaults; it is no setting itself.
            if key == UNSET or before == after or _decided_by_run(table, key, before, after):
                continue
            if (table, key) in changeable:
                allowed.append(f"{table}.{key}")
            else:
                refused.append(f"{table}.{key} (was {before!r}, now {after!r})")
    if refused:
        raise UserError(
            f"{folder} was begun with other settings: {', '.join(refused)}; change them back, "
            "or start a new run with --new",
            code="settings-changed",
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
        return bool((before, after) == ("float32", "bfloat16")) or after == "auto"
    return table == "training" and (key, after) in (("device", "auto"), ("threads", 0))
