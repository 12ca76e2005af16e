"""The terminal is left as it was found, whatever happened."""

from __future__ import annotations

import pytest

from musengine.utils.console import Console


def test_an_error_removes_a_bar_that_is_open(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    console = Console()
    assert console.live
    console.meter("training").show(0.5, "step 1")
    console.fail("no more room")
    out = capsys.readouterr().err
    # The cursor that the bar hides is shown again before the error is printed.
    hidden, shown = out.index("\x1b[?25l"), out.rindex("\x1b[?25h")
    assert hidden < shown < out.index("no more room")
