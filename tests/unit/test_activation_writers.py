"""What goes on inside a model, kept as arrays, and which writer keeps it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from helpers import refused
from musengine.builtin.callbacks.activations import RecordCallback
from musengine.builtin.configs import RecordConfig
from musengine.builtin.writers.activations import ActivationsWriter
from musengine.config.quantities import GridStep
from musengine.encoding.layouts import Grid, Tokens
from musengine.generation.activations import check_record, find_writer
from musengine.interfaces.callback import Progress
from musengine.interfaces.writer import Activations
from musengine.music.piece import Text
from musengine.plugins import manager
from musengine.plugins.configs import NoSettings
from musengine.plugins.declarations import Requirement, WriterDeclaration
from musengine.plugins.registry import Distribution, Registry, RegistryEntry

CELLS = np.arange(12, dtype=np.float32).reshape(3, 2, 2)
GRID = Grid(lowest=60, pitches=2, step=GridStep(Fraction(1), "beat"))


def activations(layout=GRID) -> Activations:
    """Three steps, the first of them the prompt's, and the cells of one layer."""
    steps = np.array([[[1], [0]], [[0], [1]], [[1], [1]]])
    return Activations(layout, steps, 1, {"time.0.cell": (CELLS, ("step", "note", "unit"))})


def registry_with(**more) -> Registry:
    """The core's components and a writer of pictures of activations."""
    registry = manager.load_from([]).registry
    declaration = WriterDeclaration(
        name="scope",
        summary="",
        target="musengine.builtin.writers.activations:ActivationsWriter",
        content=("activations",),
        suffixes={".svg": {}},
        **more,
    )
    registry.add(RegistryEntry(declaration, Distribution("here", "1")))
    return registry


def test_the_arrays_are_kept_with_the_names_of_their_axes(tmp_path: Path) -> None:
    writer = ActivationsWriter(NoSettings())
    assert writer.suffix == ".npz"
    writer.write(activations(), tmp_path / "inside")
    with np.load(tmp_path / "inside", allow_pickle=False) as inside:
        assert set(inside) == {
            *("steps", "prompt_steps", "lowest", "time.0.cell", "time.0.cell.axes")
        }
        assert (int(inside["prompt_steps"]), int(inside["lowest"])) == (1, 60)
        assert inside["steps"].tolist() == [[[1], [0]], [[0], [1]], [[1], [1]]]
        np.testing.assert_array_equal(inside["time.0.cell"], CELLS)
        assert inside["time.0.cell.axes"].tolist() == ["step", "note", "unit"]


def test_tokens_have_no_lowest_pitch(tmp_path: Path) -> None:
    ActivationsWriter(NoSettings()).write(activations(Tokens(size=2)), tmp_path / "inside")
    with np.load(tmp_path / "inside", allow_pickle=False) as inside:
        assert "lowest" not in inside


def test_nothing_else_is_written(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        ActivationsWriter(NoSettings()).write(Text("X:1"), tmp_path / "inside")


def test_the_ending_chooses_among_the_installed_writers() -> None:
    registry = registry_with()
    assert type(find_writer(".npz", registry, "here")) is ActivationsWriter
    assert set(registry.writers_by_suffix("activations")) == {".npz", ".svg"}
    assert find_writer(".svg", registry, "here").config == NoSettings()


@pytest.mark.parametrize(("suffix", "shown"), [(".png", ".png"), ("", "such")])
def test_an_ending_that_nothing_writes_names_those_there_are(suffix: str, shown: str) -> None:
    with refused("no-writer", "--record: ", f" {shown} ", ".npz, .svg", "`musengine plugins`"):
        find_writer(suffix, registry_with(), "--record")


def test_a_writer_that_lacks_its_library_says_how_to_install_it() -> None:
    lacking = (Requirement(module="no_such_module", install="pip install no-such-module"),)
    with refused("library-missing", "pip install no-such-module"):
        find_writer(".svg", registry_with(requires=lacking), "--record")


def test_what_cannot_be_recorded_is_told_before_any_work(tmp_path: Path) -> None:
    registry = registry_with()
    path = tmp_path / "inside.NPZ"
    assert type(check_record(path, "net", True, registry)) is ActivationsWriter
    with refused("nothing-to-record", "'net'"):
        check_record(path, "net", False, registry)
    path.touch()
    with refused("file-exists", path):
        check_record(path, "net", True, registry)


def test_the_callback_finds_its_writer_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manager, "load", lambda: manager.load_from([]))
    RecordCallback(RecordConfig()).on_start(tmp_path, Progress())
    with refused("no-writer", "callback 'record': ", ".png"):
        RecordCallback(RecordConfig(format="png")).on_start(tmp_path, Progress())
