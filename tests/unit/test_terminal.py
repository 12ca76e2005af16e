"""What a person sees; the terminal is left as it was found, whatever happened."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import refused
from musengine.cli.terminal import Terminal, shown_on


@pytest.fixture
def colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")


@pytest.mark.usefixtures("colours")
def test_an_error_removes_a_bar_that_is_open(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal()
    assert terminal.draws_bars
    terminal.bar("training").update(0.5, "step 1")
    terminal.line("no more room", logging.ERROR)
    out = capsys.readouterr().err
    # The cursor that the bar hides is shown again before the error is printed.
    hidden, shown = out.index("\x1b[?25l"), out.rindex("\x1b[?25h")
    assert hidden < shown < out.index("no more room")


def test_a_line_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal().line("skipped a\nb\x1b[2J.mid: damaged", logging.WARNING)
    assert capsys.readouterr().err == "warning: skipped a\\nb\\x1b[2J.mid: damaged\n"


def test_the_indentation_of_a_line_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal()
    terminal.line("next:")
    terminal.line("  musengine run a.toml\n")
    assert capsys.readouterr().err == "next:\n  musengine run a.toml\n"


@pytest.mark.usefixtures("colours")
def test_a_bar_comes_back_after_another_took_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal()
    training = terminal.bar("training")
    with terminal.bar("generating") as generating:
        generating.update(0.5, "1 piece")
    training.update(0.75, "step 3")
    terminal.close()
    err = capsys.readouterr().err
    assert err.index("generating") < err.rindex("training")
    assert err.count("\x1b[?25l") == err.count("\x1b[?25h")


@pytest.mark.parametrize(
    ("level", "seen"),
    [
        (logging.WARNING, ["warning: b", "error: c"]),
        (logging.INFO, ["a", "warning: b", "error: c"]),
        (logging.DEBUG, ["d", "a", "warning: b", "error: c"]),
    ],
)
def test_levels(level: int, seen: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("musengine.test")
    with shown_on(Terminal(level)):
        logger.debug("d")
        logger.info("a")
        logger.warning("b")
        logger.error("c")
    logger.warning("after")
    assert capsys.readouterr().err.splitlines() == seen


def test_other_libraries_are_heard_from_warnings_on(capsys: pytest.CaptureFixture[str]) -> None:
    with shown_on(Terminal(logging.DEBUG)):
        logging.getLogger("stranger").info("chatter")
        logging.getLogger("stranger").warning("careful")
    assert capsys.readouterr().err.splitlines() == ["warning: careful"]


def test_a_log_file_has_everything(tmp_path: Path) -> None:
    file = tmp_path / "logs" / "run.log"
    with shown_on(Terminal(logging.WARNING), file):
        logging.getLogger("musengine.test").debug("fine detail")
    (line,) = file.read_text("utf-8").splitlines()
    assert line.endswith("DEBUG musengine.test: fine detail")


def test_a_log_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with refused("cannot-write", "--log-file"), shown_on(Terminal(), tmp_path / "file/x"):
        pass


def test_embedded_the_engine_is_silent() -> None:
    program = (
        "import logging, musengine; logging.getLogger('musengine.runs').warning('heard?'); "
        "print(logging.getLogger().handlers)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
