"""What a survey says of tiny folders of each kind, by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from helpers import refused, write_random_midi
from musengine.data.survey import SAMPLE, SurveyedCorpus, sample_items, survey_corpus
from musengine.interfaces.reader import Item
from musengine.music.score import Score, Track
from musengine.music.traits import GRIDS, traits_of
from musengine.pipeline.values import Source
from musengine.plugins import manager
from musengine.plugins.suggestions import CorpusSurvey
from musengine.testing import score_of, write_midi


def surveyed(folder: Path) -> SurveyedCorpus:
    return survey_corpus(Source(str(folder)), manager.load_from([]).registry)


def line(number: int = 0, beats: int = 16) -> Score:
    """Eighths, one after the other."""
    return score_of([(2 * i, 2, 60 + (i * (number + 2)) % 12) for i in range(2 * beats)])


def chords(number: int = 0) -> Score:
    """Triads of a beat, and a sixteenth before each."""
    notes = [(4 * i, 4, pitch + number) for i in range(16) for pitch in (60, 64, 67)]
    return score_of([*notes, *((4 * i + 3, 1, 72) for i in range(16))])


class TestTraits:
    def test_of_a_chord_with_a_rest_and_a_line(self) -> None:
        # 4 beats of three notes, 4 of silence, 4 of one note, at 60 beats a minute.
        notes = [(0, 16, 60), (0, 16, 64), (0, 16, 67), (32, 16, 60)]
        found = traits_of(score_of(notes, tempos=[(0, 60.0)]))
        assert found is not None
        assert (found.notes, found.drums, found.melody_notes) == (4, 0, 0)
        assert (found.beats, found.seconds, found.tempo) == (12, pytest.approx(12), 60)
        assert found.polyphony == pytest.approx((3 * 4 + 1 * 4) / 8)
        assert not found.single_line
        assert {pitch: found.pitches[pitch] for pitch in (60, 64, 65)} == {60: 2, 64: 1, 65: 0}

    def test_melodies_are_tracks_by_themselves(self) -> None:
        tracks = (Track("air"), Track("chords"))
        notes = [(0, 4, 72, 80, 0), (4, 4, 74, 80, 0), (0, 8, 48, 80, 1), (0, 8, 52, 80, 1)]
        found = traits_of(score_of(notes, tracks=tracks))
        assert found is not None
        assert (found.melody_notes, found.single_line) == (2, False)

    def test_drums_count_where_there_is_nothing_else(self) -> None:
        kit = (Track("kit", is_drum=True), Track("bass"))
        both = traits_of(
            score_of([(0, 4, 36, 80, 0), (0, 4, 42, 80, 0), (8, 4, 40, 80, 1)], tracks=kit)
        )
        alone = traits_of(score_of([(0, 4, 36), (0, 4, 42)], tracks=kit[:1]))
        assert both is not None
        assert alone is not None
        assert (both.drums, both.polyphony, both.pitches[36]) == (2, 1, 0)
        assert (alone.drums, alone.polyphony, alone.pitches[36]) == (2, 2, 1)

    def test_grids_are_kept_also_from_a_late_first_beat_on(self) -> None:
        late = score_of([(3 + 12 * i, 3, 60) for i in range(40)], ticks_per_beat=24)
        found = traits_of(late)
        assert found is not None
        # On eighths, 1/8 of a beat late: those of 2, 4, 6, 8 and 12 to a beat coincide.
        closeness = dict(zip(GRIDS, found.grids.round(6).tolist(), strict=True))
        assert closeness == {2: 1, 3: 0, 4: 1, 6: 1, 8: 1, 12: 1}

    def test_nothing_is_like_nothing(self) -> None:
        assert traits_of(score_of([])) is None


class TestSurvey:
    def test_single_lines(self, tmp_path: Path) -> None:
        for number in range(5):
            write_midi(line(number), tmp_path / f"{number}.mid")
        found = surveyed(tmp_path).survey
        assert (found.files, found.pieces, found.notes) == (5, 5, 5 * 32)
        assert (found.single_lines, found.melodies, found.polyphony) == (1, 1, 1)
        assert (found.step, found.on_beat, found.beats) == ("1/2 beat", True, 80)
        assert (found.shortest, found.usual, found.tempo) == (16, 16, 120)

    def test_polyphony_and_its_range(self, tmp_path: Path) -> None:
        for number in range(3):
            write_midi(chords(number), tmp_path / f"{number}.mid")
        found = surveyed(tmp_path).survey
        # Four notes sound in a quarter of the time, three in the rest.
        assert found.polyphony == pytest.approx(3.25)
        assert (found.single_lines, found.step) == (0, "1/4 beat")
        assert (found.lowest, found.highest) == (60, 72)

    def test_drums_alone(self, tmp_path: Path) -> None:
        kit = [Track("kit", is_drum=True)]
        write_midi(
            score_of([(2 * i, 1, 36 + 2 * (i % 4)) for i in range(64)], tracks=kit),
            tmp_path / "a.mid",
        )
        found = surveyed(tmp_path).survey
        assert (found.drums, found.only_drums, found.lowest, found.highest) == (1, True, 36, 42)

    def test_a_performance_off_the_beat(self, tmp_path: Path) -> None:
        write_random_midi(tmp_path, 4, beats=64, notes=400)
        found = surveyed(tmp_path).survey
        assert (found.on_beat, found.step) == (False, "0.1 seconds")

    def test_triplets_beside_sixteenths_need_twelfths(self, tmp_path: Path) -> None:
        onsets = [12 * i + place for i in range(40) for place in (0, 3, 6, 8, 9, 4)]
        write_midi(score_of([(t, 1, 60) for t in onsets], ticks_per_beat=12), tmp_path / "a.mid")
        assert surveyed(tmp_path).survey.step == "1/12 beat"

    def test_of_several_kinds_the_one_with_most_music(self, tmp_path: Path) -> None:
        for number in range(3):
            write_midi(line(number), tmp_path / f"{number}.mid")
        (tmp_path / "roll.json").write_text(json.dumps({"train": [[[60], [62], [64]]]}))
        (tmp_path / "notes.txt").write_text("what I meant to write " * 1000)
        (tmp_path / "cover.png").write_bytes(b"picture")
        found = surveyed(tmp_path)
        assert found.kind.suffixes == [".mid"]
        assert [kind.suffixes for kind in found.others] == [[".json"], [".txt"]]
        assert found.survey.files == 3
        assert dict(found.notes.ignored) == {".png": 1}

    def test_texts_where_there_is_nothing_else(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_text("la la la")
        found = surveyed(tmp_path).survey
        assert (found.contents, found.notation, found.characters) == (("text",), "plain", 8)

    def test_a_file_that_cannot_be_read_is_no_obstacle(self, tmp_path: Path) -> None:
        write_midi(line(), tmp_path / "good.mid")
        (tmp_path / "bad.mid").write_bytes(b"MThd nonsense")
        found = surveyed(tmp_path)
        assert [item.id for item, _ in found.kind.bad] == ["bad.mid"]
        assert found.survey.files == 2

    def test_one_file_by_its_name(self, tmp_path: Path) -> None:
        path = write_midi(line(), tmp_path / "only.mid")
        assert surveyed(path).survey.pieces == 1

    def test_nothing_to_read_says_what_there_is(self, tmp_path: Path) -> None:
        with refused("no-music", tmp_path):
            surveyed(tmp_path)
        (tmp_path / "cover.png").touch()
        with refused("no-music", "1 .png"):
            surveyed(tmp_path)
        (tmp_path / "empty.mid").touch()
        with refused("no-music", "empty.mid", "the file is empty"):
            surveyed(tmp_path)


def test_the_sample_of_many_files_is_always_the_same() -> None:
    items = [Item(Path(str(number)), str(number)) for number in range(10_000)]
    chosen = sample_items(items)
    assert len({item.id for item in chosen}) == SAMPLE
    assert chosen == sample_items(items)
    assert np.mean([int(item.id) for item in chosen]) == pytest.approx(5000, abs=1500)


@pytest.mark.parametrize(
    ("step", "steps"), [("1/4 beat", 32), ("1/2 beat", 16), ("1 beat", 8), ("0.1 seconds", 48)]
)
def test_steps_of_beats(step: str, steps: int) -> None:
    # 8 beats at 100 a minute last 4.8 seconds.
    assert CorpusSurvey(files=1, step=step, tempo=100.0).steps(8) == steps
