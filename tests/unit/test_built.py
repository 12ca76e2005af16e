"""A compiled module is used where it was made of the sources beside it."""

from __future__ import annotations

import logging
import subprocess
import sys
import types
import zlib
from importlib import import_module
from pathlib import Path

import pytest

from musengine.utils.built import checksum, current


def module_beside(folder: Path, **held: int) -> types.ModuleType:
    module = types.ModuleType("some.package._fast")
    module.__file__ = str(folder / "_fast.cpython-311-x86_64-linux-gnu.so")
    vars(module).update(held)
    return module


def test_a_checksum_is_of_the_source_and_the_headers_beside_it(tmp_path: Path) -> None:
    source = tmp_path / "_fast.pyx"
    source.write_bytes(b"a = 1\n")
    assert checksum(source) == zlib.crc32(b"a = 1\n")
    (tmp_path / "b.hpp").write_bytes(b"int b;\n")
    (tmp_path / "a.hpp").write_bytes(b"int a;\n")
    (tmp_path / "other.py").write_bytes(b"c = 3\n")
    assert checksum(source) == zlib.crc32(b"a = 1\nint a;\nint b;\n")


def test_a_module_of_other_sources_is_not_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = tmp_path / "_fast.pyx"
    source.write_bytes(b"a = 1\n")
    made = zlib.crc32(b"a = 1\n")
    with caplog.at_level(logging.WARNING):
        assert current(module_beside(tmp_path, made_of=made))
        assert not caplog.messages
        assert not current(module_beside(tmp_path, made_of=made + 1))
        # One of before the checksum was kept.
        assert not current(module_beside(tmp_path))
    (said, _) = caplog.messages
    assert "some.package._fast" in said
    assert "install musengine again" in said


def test_a_module_without_sources_is_that_of_its_release(tmp_path: Path) -> None:
    assert current(module_beside(tmp_path, made_of=5))


@pytest.mark.parametrize(
    "name", ["musengine.nn._recurrent", "musengine.builtin.midi._scan", "musengine.music._order"]
)
def test_ours_say_what_they_are_made_of(name: str) -> None:
    module = pytest.importorskip(name)
    source = Path(module.__file__ or "").with_name(f"{name.rpartition('.')[2]}.pyx")
    if not source.is_file():
        pytest.skip("installed from a wheel")
    assert module.made_of == checksum(source)


STALE = """
import musengine.utils.built
musengine.utils.built.checksum = lambda source: -1
from musengine.builtin.midi import reader
from musengine.music.compiled import order
from musengine.nn import LSTMLayer, compiled, note_loop, token_loop
assert reader.native_reader is None
assert order is None
assert (compiled._recurrent, note_loop._recurrent, token_loop._recurrent) == (None, None, None)
assert not compiled.kernels
import torch
layer = LSTMLayer(3, 4)
print(tuple(layer(torch.zeros(2, 5, 3), layer.initial_state(2))[0].shape))
"""


def test_without_them_files_are_read_and_layers_run_all_the_same() -> None:
    module = pytest.importorskip("musengine.nn._recurrent")
    if not Path(module.__file__ or "").with_name("_recurrent.pyx").is_file():
        pytest.skip("installed from a wheel")
    done = subprocess.run([sys.executable, "-c", STALE], check=True, capture_output=True, text=True)
    assert done.stdout == "(2, 5, 4)\n"
    assert import_module("musengine.nn.compiled").kernels
