"""A name that has another name now: it works, and its author is told at the very line."""

from __future__ import annotations

import subprocess
import sys
import warnings
from dataclasses import dataclass

import pytest

from musengine import api
from musengine.plugins.declarations import LossDeclaration
from musengine.utils.deprecation import Renamed, former_fields


def test_a_former_name_of_the_api(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(api._RENAMED, "Partition", Renamed("Score", "0.3"))
    with pytest.warns(DeprecationWarning, match="Partition") as caught:
        from musengine.api import Partition
    assert Partition is api.Score
    (warning,) = caught
    assert str(warning.message) == (
        "musengine.api.Partition is now Score; the former name goes in version 0.3"
    )
    assert warning.filename == __file__
    assert "Partition" not in api.__all__


def declared() -> type[LossDeclaration]:
    @former_fields(works_on=Renamed("layouts", "0.3"))
    @dataclass(frozen=True, kw_only=True)
    class Declared(LossDeclaration):
        pass

    return Declared


def test_a_former_field_of_a_declaration() -> None:
    kind = declared()
    with pytest.warns(DeprecationWarning, match="works_on") as caught:
        made = kind(name="x", summary="", target="a:B", works_on=("grid",))  # type: ignore[call-arg]
    assert made.layouts == ("grid",)
    (warning,) = caught
    assert str(warning.message) == (
        "musengine.api.Declared.works_on is now layouts; the former name goes in version 0.3"
    )
    assert warning.filename == __file__


def test_the_new_name_warns_of_nothing_and_both_are_too_many() -> None:
    kind = declared()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert kind(name="x", summary="", target="a:B", layouts=("grid",)).layouts == ("grid",)
    with (
        pytest.warns(DeprecationWarning, match="works_on"),
        pytest.raises(TypeError, match="works_on"),
    ):
        kind(name="x", summary="", target="a:B", layouts=(), works_on=())  # type: ignore[call-arg]


@pytest.mark.parametrize(("flags", "seen"), [((), False), (("-W", "error"), True)])
def test_who_uses_a_plugin_sees_nothing_of_it(tmp_path, flags: tuple[str, ...], seen: bool) -> None:
    (tmp_path / "plugin.py").write_text("from musengine.api import Partition\n")
    program = (
        "from musengine import api; from musengine.utils.deprecation import Renamed;"
        "api._RENAMED['Partition'] = Renamed('Score', '0.3'); import plugin"
    )
    done = subprocess.run(
        [sys.executable, *flags, "-c", program], cwd=tmp_path, capture_output=True, text=True
    )
    assert ("Partition is now Score" in done.stderr) == seen
