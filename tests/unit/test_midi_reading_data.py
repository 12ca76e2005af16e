"""All the real MIDI files: either library gives the same Score as our own reading of the bytes."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from helpers import reads_by_symusic, sampled, unpacked
from musengine.builtin.midi import chunks, clean, libraries, marking, tolerant
from musengine.builtin.midi.oddities import Oddities
from musengine.score import Score

ARCHIVES = {
    "classical-piano-composer/classical-piano-composer.tar.gz": (92, None),
    "midi-rnn-lakh/midi-rnn-lakh.tar.gz": (183, None),
    "musicguru/musicguru-collection.tar.gz": (262, None),
    "nottingham/nottingham-midi.tar.gz": (3089, None),
    # Notes as the data's own description counts them.
    "piano-midi-de/piano-midi-de.tar.gz": (337, 794_411),
    "pop909/pop909-main-001-808.tar.gz": (808, 1_359_660),
    "pop909/pop909-versions-001-808.tar.gz": (1799, 2_957_780),
}


def all_libraries() -> list[libraries.Library]:
    """Those that are installed."""
    return [reads_by_symusic(), libraries.Miditoolkit()]


def by_own_means(data: bytes) -> tuple[Score, tuple[str, ...]]:
    odd = Oddities()
    (song,) = tolerant.songs_of(chunks.take_apart(data, odd), odd)
    return song.score(odd), odd.warnings()


def through(library: libraries.Library, data: bytes) -> tuple[Score, tuple[str, ...]] | None:
    file = marking.examined(data)
    song = None if file is None else clean.song_of(file, library)
    if song is None:
        return None
    odd = Oddities()
    return song.score(odd), odd.warnings()


def assert_equal(first: Score, second: Score) -> None:
    for field in fields(Score):
        one, other = getattr(first, field.name), getattr(second, field.name)
        if isinstance(one, np.ndarray):
            assert one.dtype == other.dtype
            assert np.array_equal(one, other), field.name
        else:
            assert one == other, field.name


def compare(paths: list[Path], readers: list[libraries.Library]) -> tuple[int, list[int]]:
    """Compare the libraries with our own reading; returns notes, and files each library read."""
    notes, read = 0, [0] * len(readers)
    for path in paths:
        data = path.read_bytes()
        score, warnings = by_own_means(data)
        notes += len(score)
        for index, library in enumerate(readers):
            if (found := through(library, data)) is not None:
                assert_equal(found[0], score)
                assert found[1] == warnings
                read[index] += 1
    return notes, read


@pytest.mark.parametrize("archive", ARCHIVES)
def test_some_real_files_are_the_same_through_both_libraries(data_folder, tmp_path, archive):
    paths = unpacked(data_folder / archive, tmp_path, 6)
    _, read = compare(paths, all_libraries())
    assert read[0] > len(paths) // 2


@pytest.mark.slow
@pytest.mark.parametrize("archive", ARCHIVES)
def test_all_real_files_are_the_same_through_both_libraries(data_folder, tmp_path, archive):
    files, expected = ARCHIVES[archive]
    paths = unpacked(data_folder / archive, tmp_path, files)
    assert len(paths) == files
    both = all_libraries()
    notes, read = compare(paths, both[:1])
    assert expected in (None, notes)
    # symusic reads most files: those with hanging notes or changing programs take the other way.
    assert read[0] > 0.7 * files
    # miditoolkit takes some ten times as long.
    compare(sampled(paths, 200), both[1:])
