"""Small inputs of every kind that notations are read wrong in, read through the registry."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

pytest.importorskip("musengine_notation")

from notation_cases import CASES, MIDI, Case, midi_file

from musengine.data.reading import read_sources
from musengine.music.note_tables import BEND
from musengine.music.piece import Piece
from musengine.music.score import Score
from musengine.pipeline.values import Source
from musengine.plugins.manager import load_registry
from musengine.testing import read_midi, write_midi


def read(case: Case, folder: Path) -> Piece:
    path = folder / case.file
    path.write_bytes(case.data if isinstance(case.data, bytes) else case.data.encode())
    (piece,) = read_sources([Source(str(path))], load_registry(), jobs=1).pieces
    return piece


def notes_of(score: Score) -> list[tuple[Fraction, int, Fraction]]:
    """Onset, pitch and length in quarter notes."""
    per = score.ticks_per_beat
    rows = zip(score.onset.tolist(), score.pitch.tolist(), score.duration.tolist(), strict=True)
    return sorted((Fraction(on, per), pitch, Fraction(long, per)) for on, pitch, long in rows)


def wanted(text: str) -> list[tuple[Fraction, int, Fraction]]:
    found = []
    for word in text.split():
        pitch, _, place = word.partition("@")
        onset, _, length = place.partition(":")
        found.append((Fraction(onset), int(pitch), Fraction(length or 1)))
    return sorted(found)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.file[5:]}: {case.name}")
def test_it_is_read_right(case, tmp_path):
    score = read(case, tmp_path).content
    per = score.ticks_per_beat
    assert notes_of(score) == wanted(case.notes)
    tempos = zip(score.tempo_bpm.round(2).tolist(), (score.tempo_tick / per).tolist(), strict=True)
    assert " ".join(f"{bpm:g}@{at:g}" for bpm, at in tempos) == case.tempos
    meters = zip(score.meter.tolist(), (score.meter_tick / per).tolist(), strict=True)
    assert " ".join(f"{a}/{b}@{at:g}" for (a, b), at in meters) == case.meters
    assert case.tracks in (None, len(score.tracks))
    assert tuple(score.pitch[score.is_drum].tolist()) == case.drums


PEDAL = "00b0407f 00903c40 18803c00 00e00050 48b04000".replace(" ", "")


def test_pedal_and_bend_are_kept_and_written_again(tmp_path):
    case = Case("a pedal", "case.mid", midi_file(PEDAL), "60@0:1/4")
    score = read(case, tmp_path).content
    controls = [(0, 64, 127), (24, BEND, 2048), (96, 64, 0)]
    again = read_midi(write_midi(score, tmp_path / "again.mid"))
    for each in (score, again):
        rows = zip(each.control_tick.tolist(), each.control.tolist(), strict=True)
        assert [(tick, number, value) for tick, (_, number, value) in rows] == controls


def test_drums_are_written_as_drums(tmp_path):
    for case in MIDI:
        score = read(case, tmp_path).content
        again = read_midi(write_midi(score, tmp_path / "again.mid"))
        assert again.pitch[again.is_drum].tolist() == list(case.drums), case.name


def test_two_parts_at_odds_about_the_tempo_are_told(tmp_path):
    (case,) = [case for case in CASES if "at odds" in case.name]
    (warning,) = read(case, tmp_path).warnings
    assert "part 'Part 2', bar 1" in warning
