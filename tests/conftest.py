"""What the tests of the core share beside the fixtures of `musengine.testing`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from musengine.testing import CommandResult, run_command


@pytest.fixture
def musengine() -> Callable[..., CommandResult]:
    """Call the command line; returns exit status, stdout and stderr."""
    return run_command
