"""Help for tests of plugins: scores, components by name, batches, training, runs, commands.

Nothing here needs pytest. Fixtures are in `musengine.testing.fixtures`, for
`pytest_plugins = ["musengine.testing.fixtures"]`, and strategies for Hypothesis in
`musengine.testing.strategies`.
"""

from __future__ import annotations

from musengine.testing.archives import unpack
from musengine.testing.commands import CommandResult, load_checkpoint, run_command
from musengine.testing.components import create, declarations, only_plugins
from musengine.testing.models import (
    batch_of,
    batches_of,
    generate_steps,
    train_steps,
)
from musengine.testing.problems import problem
from musengine.testing.scores import Note, read_midi, rows_of, score_of, write_midi
from musengine.testing.site_packages import SitePackages
from musengine.testing.surveys import SURVEYS, suggested_pipelines

__all__ = [
    "SURVEYS",
    "CommandResult",
    "Note",
    "SitePackages",
    "batch_of",
    "batches_of",
    "create",
    "declarations",
    "generate_steps",
    "load_checkpoint",
    "only_plugins",
    "problem",
    "read_midi",
    "rows_of",
    "run_command",
    "score_of",
    "suggested_pipelines",
    "train_steps",
    "unpack",
    "write_midi",
]
