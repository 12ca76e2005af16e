"""MIDI files with bytes changed at random are read or refused: no hang, no crash, no traceback."""

from __future__ import annotations

import random
import time
from pathlib import Path

import numpy as np
import pytest

from helpers import pieces_or_refusal
from midi_ways import WAYS_OF_READING, read_in
from musengine.builtin.midi import reader
from musengine.builtin.midi.reader import MidiReader
from musengine.data.storage.serialization import pack_pieces
from musengine.music.note_tables import LAST_TICK
from musengine.music.piece import Piece
from musengine.music.score import Score, Track
from musengine.plugins.configs import NoSettings
from musengine.testing import score_of, unpack, write_midi

SLOWEST = 20.0
"""Seconds. A file of a few kilobytes is read in milliseconds; a loop without an end is not."""
TELLING = b"\xff\x00\x90\x99\x80\x2f\x51\x58\x59\xc0\xd0\xf0\xf7\xf8\xf2\x7f"


@pytest.fixture(scope="module")
def originals(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """Some real files where there are any, and one of our own."""
    folder = tmp_path_factory.mktemp("originals")
    score = score_of(
        [(step * 30, 40, 50 + step % 12, 80, step % 3) for step in range(60)],
        tracks=[Track("lead", 1), Track("bass", 40), Track("kit", 0, True)],
        tempos=[(0, 90), (300, 140)],
        meters=[(0, 3, 4), (400, 7, 8)],
        keys=[(0, -3, True)],
    )
    write_midi(score, folder / "own.mid")
    found = [(folder / "own.mid").read_bytes()]
    try:
        data: Path = request.getfixturevalue("data_folder")
    except pytest.skip.Exception:
        return found
    for archive in (
        "nottingham/nottingham-midi.tar.gz",
        "midi-rnn-lakh/midi-rnn-lakh.tar.gz",
        "musicguru/musicguru-collection.tar.gz",
        "pop909/pop909-main-001-808.tar.gz",
    ):
        if (data / archive).is_file():
            paths = unpack(data / archive, folder, 12)
            found += [path.read_bytes()[:20_000] for path in paths]
    return found


def mutated(data: bytes, other: bytes, random_: random.Random) -> bytes:
    """Flip, overwrite, insert, delete, copy and splice, mostly near the beginning or anywhere."""
    changed = bytearray(data)
    for _ in range(random_.choice([1, 1, 1, 2, 4, 16])):
        size = max(len(changed), 1)
        at = min(random_.randrange(size), random_.choice([size, 200]))
        some = random_.randrange(1, 6)
        how = random_.randrange(7)
        if how == 0 and at < len(changed):
            changed[at] ^= 1 << random_.randrange(8)
        elif how == 1:
            changed[at : at + 1] = bytes([random_.choice(TELLING)])
        elif how == 2:
            changed[at:at] = random_.randbytes(some)
        elif how == 3:
            del changed[at : at + some]
        elif how == 4 and random_.random() < 0.3:
            del changed[at:]
        elif how == 5:
            start = random_.randrange(size)
            changed[at:at] = changed[start : start + 4 * some]
        elif how == 6 and random_.random() < 0.3:
            changed[at:] = other[min(at, len(other)) :]
    return bytes(changed)


def is_sane(score: Score) -> None:
    """What a Score promises holds, whatever it was read from."""
    assert len(score) > 0
    assert score.onset.min() >= 0
    assert score.duration.min() >= 1
    assert score.end.max() <= min(score.length, LAST_TICK + 1)
    assert 0 <= score.pitch.min() <= score.pitch.max() <= 127
    assert 1 <= score.velocity.min() <= score.velocity.max() <= 127
    assert 0 <= score.track.min() <= score.track.max() < len(score.tracks)
    assert score.ticks_per_beat >= 1
    assert score.in_order().onset.tolist() == score.onset.tolist()


def read_in_all_ways(path: Path) -> list[Piece]:
    """The pieces of a file, which are the same in every way of reading."""
    readings = []
    for way in WAYS_OF_READING:
        if way == "compiled" and reader.native_reader is None:
            continue
        with pytest.MonkeyPatch.context() as patch:
            read_in(way, patch)
            readings.append(list(pieces_or_refusal(MidiReader(NoSettings()), path)))
    one, *others = [pack_pieces(pieces) for pieces in readings]
    for arrays, meta in others:
        assert meta == one[1]
        assert all(np.array_equal(arrays[name], values) for name, values in one[0].items())
    return readings[0]


def survive(originals: list[bytes], path: Path, seed: int, files: int) -> int:
    """Read mutated files; returns how many were read rather than refused."""
    random_ = random.Random(seed)
    read = 0
    for _ in range(files):
        path.write_bytes(mutated(*random_.choices(originals, k=2), random_))
        began = time.monotonic()
        for piece in read_in_all_ways(path):
            assert isinstance(piece.content, Score)
            is_sane(piece.content)
            read += 1
        assert time.monotonic() - began < SLOWEST
    return read


def test_mutated_files_are_read_or_refused(originals, tmp_path):
    # Most of a damaged file is music still.
    assert survive(originals, tmp_path / "piece.mid", seed=1, files=150) > 100


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_thousands_of_mutated_files_are_read_or_refused(originals, tmp_path, seed):
    assert survive(originals, tmp_path / "piece.mid", seed=100 + seed, files=2500) > 1500


def test_noise_after_a_header_is_read_or_refused(tmp_path):
    header = b"MThd\0\0\0\6\0\1\0\1\1\xe0MTrk"
    originals = [header + bytes([0, 0, 1, 0]) + random.Random(n).randbytes(256) for n in range(20)]
    survive(originals, tmp_path / "piece.mid", seed=2, files=150)
