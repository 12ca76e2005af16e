"""The picture a notebook shows of a Score, read as XML."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given

from musengine.music.notebook import MAX_RECTANGLES
from musengine.music.score import Score, Track
from musengine.testing import score_of
from musengine.testing.strategies import few, scores

SVG = "{http://www.w3.org/2000/svg}"
LEFT, TOP, ROW, BEAT = 32, 4, 5, 24
"""Pixels: where the roll begins, the height of a pitch, the width of a beat."""


def picture(score: Score) -> ElementTree.Element:
    return ElementTree.fromstring(score._repr_svg_())


def group(svg: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [each for each in svg.iter() if each.get("class") == name]


def note_rectangles(svg: ElementTree.Element) -> dict[str, list[tuple[float, ...]]]:
    """For each colour the (x, y, width, height) of its notes."""
    return {
        notes.attrib["fill"]: [
            tuple(float(each.attrib[key]) for key in ("x", "y", "width", "height"))
            for each in notes
        ]
        for notes in group(svg, "notes")
    }


def labels(svg: ElementTree.Element, name: str) -> list[tuple[str | None, float]]:
    """The words of a group with where they stand, in x or in y."""
    axis = "x" if name == "bar-numbers" else "y"
    return [(each.text, float(each.attrib[axis])) for (words,) in [group(svg, name)]
            for each in words]  # fmt: skip


def test_every_note_is_a_rectangle_where_it_sounds():
    tracks = (Track("a"), Track("b"), Track("drums", is_drum=True))
    # 16 beats of 4 ticks are four bars of 4/4.
    notes = [(0, 4, 60, 80, 0), (4, 2, 72, 80, 1), (60, 4, 62, 80, 0), (8, 1, 60, 80, 2)]
    svg = picture(score_of(notes, tracks=tracks))
    # Two octaves around 60 to 72: 54 to 78, the highest in the first row.
    assert note_rectangles(svg) == {
        "#1f5fa8": [
            (LEFT, TOP + 18 * ROW, BEAT - 0.5, ROW - 1),
            (LEFT + 15 * BEAT, TOP + 16 * ROW, BEAT - 0.5, ROW - 1),
        ],
        "#c2512f": [(LEFT + BEAT, TOP + 6 * ROW, BEAT / 2 - 0.5, ROW - 1)],
        "#6b7280": [(LEFT + 2 * BEAT, TOP + 18 * ROW, BEAT / 4 - 0.5, ROW - 1)],
    }
    assert labels(svg, "bar-numbers") == [(str(n + 1), LEFT + 4 * n * BEAT) for n in range(4)]
    assert labels(svg, "pitches") == [("C4", TOP + 19 * ROW), ("C5", TOP + 7 * ROW)]
    assert float(svg.attrib["width"]) == LEFT + 16 * BEAT + 8
    assert float(svg.attrib["height"]) == TOP + 25 * ROW + 18
    # Of the 25 rows those of 54, 56, 58, 61, 63, 66, 68, 70, 73, 75 and 78.
    (keys,) = group(svg, "black-keys")
    assert len(keys) == 11


def test_a_long_score_is_compressed_and_not_every_bar_has_a_line():
    svg = picture(score_of([(0, 4, 60), (3996, 4, 60)]))
    ((first, last),) = note_rectangles(svg).values()
    assert first == (LEFT, TOP + 12 * ROW, 1.1, ROW - 1)
    assert last[0] == pytest.approx(LEFT + 1600 * 3996 / 4000, abs=0.05)
    # 250 bars in 1,600 pixels: one of seven, 44.8 pixels apart.
    numbers = labels(svg, "bar-numbers")
    assert [word for word, _ in numbers] == [str(n) for n in range(1, 251, 7)]
    assert numbers[1][1] == LEFT + 44.8


def test_bars_are_those_of_the_meter_map():
    svg = picture(score_of([(0, 60, 60)], meters=[(0, 3, 4), (24, 4, 4)]))
    expected = [LEFT + beats * BEAT for beats in (0, 3, 6, 10, 14)]
    assert [x for _, x in labels(svg, "bar-numbers")] == expected


def test_so_many_notes_that_they_touch_are_drawn_as_fewer_rectangles():
    # A repeated note and a trill beside it, every tick for ever; at the end one by itself.
    count = 2 * MAX_RECTANGLES
    onset = np.concatenate([np.arange(count), np.arange(0, count, 2), [4 * count]])
    pitch = np.concatenate([np.full(count, 60), np.full(count // 2, 62), [64]])
    score = Score.from_notes(onset, 1, pitch, ticks_per_beat=4)
    ((*struck, alone),) = note_rectangles(picture(score)).values()
    end = 1600 * count / (4 * count + 1)
    assert sorted(y for _, y, _, _ in struck) == [TOP + 12 * ROW, TOP + 14 * ROW]
    assert all(x == LEFT for x, *_ in struck)
    assert all(width == pytest.approx(end - 0.5, abs=0.4) for *_, width, _ in struck)
    assert alone[0] == pytest.approx(LEFT + 1600, abs=0.2)


def test_the_picture_of_the_busiest_score_is_bounded():
    drawn = np.random.default_rng(2)
    count = 200_000
    score = Score.from_notes(
        drawn.integers(0, 10**6, count),
        drawn.integers(1, 100, count),
        drawn.integers(0, 128, count),
        track=drawn.integers(0, 40, count),
        ticks_per_beat=4,
        tracks=[Track(is_drum=number % 4 == 0) for number in range(40)],
    )
    svg = picture(score)
    assert 500 < sum(map(len, note_rectangles(svg).values())) <= MAX_RECTANGLES
    assert len(score._repr_svg_()) < 300_000


@given(scores())
@few(60)
def test_any_score_has_a_picture_with_all_its_notes_in_it(score):
    svg = picture(score)
    rectangles = [each for notes in note_rectangles(svg).values() for each in notes]
    assert len(rectangles) == len(score)
    right, bottom = float(svg.attrib["width"]), float(svg.attrib["height"])
    for x, y, width, height in rectangles:
        assert LEFT <= x < x + width <= right
        assert TOP <= y < y + height <= bottom
