"""Nothing that is handed to the engine is executed, or has it write outside: the whole table."""

from __future__ import annotations

from pathlib import Path

import pytest
from hostile import HOSTILE, Hostile

from musengine.cli.main import main

ROWS = [
    pytest.param(each, id=f"{group}: {each.what}")
    for group, rows in HOSTILE.items()
    for each in rows
]


def everything(folder: Path) -> dict[Path, bytes | None]:
    """All that is in a folder but what a command may write, and what is beside it."""
    own = [folder / name for name in ("runs", "fresh", "music", "cache", "other.toml")]
    inside = (path for path in folder.rglob("*") if not {path, *path.parents} & {*own})
    found = {path: path.read_bytes() if path.is_file() else None for path in inside}
    return {**found, **dict.fromkeys(folder.parent.iterdir())}


@pytest.mark.parametrize("hostile", ROWS)
def test_it_ends_in_one_line(
    run: Path, folder: Path, capfd: pytest.CaptureFixture[str], hostile: Hostile
) -> None:
    pytest.importorskip(hostile.needs)
    hostile.make(folder)
    before = everything(folder)
    capfd.readouterr()
    status = main(hostile.command)
    err = capfd.readouterr().err
    assert "Traceback" not in err
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    if hostile.says:
        assert status == 1, err
        assert hostile.says in " ".join(errors)
        assert len(errors) == 1, err
        assert len(errors[0]) < 2000
    else:
        assert (status, errors) == (0, []), err
    assert everything(folder) == before
    assert not list(folder.rglob("EXECUTED"))
