"""Help for tests of plugins: scores, components by name, batches, training, runs, commands.

Nothing here needs pytest. Fixtures are in `musengine.testing.fixtures`, for
`pytest_plugins = ["musengine.testing.fixtures"]`, and strategies for Hypothesis in
`musengine.testing.strategies`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from musengine.testing.archives import unpack as unpack
    from musengine.testing.commands import CommandResult as CommandResult
    from musengine.testing.commands import load_checkpoint as load_checkpoint
    from musengine.testing.commands import run_command as run_command
    from musengine.testing.components import create as create
    from musengine.testing.components import declarations as declarations
    from musengine.testing.components import only_plugins as only_plugins
    from musengine.testing.models import batch_of as batch_of
    from musengine.testing.models import batches_of as batches_of
    from musengine.testing.models import generate_steps as generate_steps
    from musengine.testing.models import train_steps as train_steps
    from musengine.testing.problems import problem as problem
    from musengine.testing.processors import compiled_way as compiled_way
    from musengine.testing.processors import compiled_ways as compiled_ways
    from musengine.testing.scores import Note as Note
    from musengine.testing.scores import read_midi as read_midi
    from musengine.testing.scores import rows_of as rows_of
    from musengine.testing.scores import score_of as score_of
    from musengine.testing.scores import write_midi as write_midi
    from musengine.testing.site_packages import SitePackages as SitePackages
    from musengine.testing.surveys import SURVEYS as SURVEYS
    from musengine.testing.surveys import suggested_pipelines as suggested_pipelines

_NAMES = {
    "archives": "unpack",
    "commands": "CommandResult load_checkpoint run_command",
    "components": "create declarations only_plugins",
    "models": "batch_of batches_of generate_steps train_steps",
    "problems": "problem",
    "processors": "compiled_way compiled_ways",
    "scores": "Note read_midi rows_of score_of write_midi",
    "site_packages": "SitePackages",
    "surveys": "SURVEYS suggested_pipelines",
}
"""Each module of this package, and the names that it gives."""

_HOME = {name: module for module, names in _NAMES.items() for name in names.split()}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    # `musengine plugins` looks into this package for a command, and is to be quick.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
