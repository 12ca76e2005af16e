"""What the tests of the tools share."""

from __future__ import annotations

import pytest


@pytest.fixture
def in_workers() -> None:
    """Let worker processes do the work, as in use: for tests of what they do."""


@pytest.fixture(autouse=True)
def no_workers(request: pytest.FixtureRequest) -> None:
    """Let all others work on their files in this process."""
    if "in_workers" not in request.fixturenames:
        request.getfixturevalue("in_this_process")
