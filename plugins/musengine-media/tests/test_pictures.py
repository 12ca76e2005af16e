from __future__ import annotations

from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from PIL import Image

from musengine.api import Score, Text, Track
from musengine.testing import score_of
from musengine.testing.strategies import few, scores
from musengine_media.config import PictureConfig
from musengine_media.picture import BAR_LINE, NOTE_COLOURS, PictureWriter

SVG = "{http://www.w3.org/2000/svg}"


def drawn(score: Score, folder: Path, **options) -> ElementTree.Element:
    """The SVG picture of a score, parsed."""
    writer = PictureWriter(PictureConfig(**options))
    assert writer.suffix == ".svg"
    path = folder / "piece.svg"
    writer.write(score, path)
    return ElementTree.parse(path).getroot()


def rectangles(root: ElementTree.Element, *colours: str) -> list[dict[str, float]]:
    """Place and size of the rectangles of some colours."""
    return [
        {name: float(rect.attrib[name]) for name in ("x", "y", "width", "height")}
        for rect in root.iter(f"{SVG}rect")
        if rect.attrib["fill"] in colours
    ]


def labels(root: ElementTree.Element) -> list[str]:
    return [str(text.text) for text in root.iter(f"{SVG}text")]


@given(score=scores())
@few(40)
def test_every_note_is_a_rectangle_inside_the_picture(score, tmp_path):
    root = drawn(score, tmp_path, width=640, height=240)
    assert (root.attrib["width"], root.attrib["height"]) == ("640", "240")
    notes = rectangles(root, *NOTE_COLOURS)
    assert len(notes) == len(score)
    for note in notes:
        assert note["width"] > 0
        assert note["height"] > 0
        # Coordinates are written to a tenth of a pixel; a bar of time ends 12 pixels before the
        # right edge, and the shortest note is 0.8 pixels wide.
        assert 44 <= note["x"] <= note["x"] + note["width"] <= 640 - 12 + 0.8 + 0.1
        assert 10 - 0.1 <= note["y"] <= note["y"] + note["height"] <= 240 - 30 + 0.8 + 0.1


# 1000 x 400 pixels leave 944 for time (44 on the left for names, 12 on the right) and 360 for
# pitch (10 above, 30 below for bar numbers). A lone pitch 60 is shown within two octaves, 48 to
# 72: 25 rows of 14.4 pixels, C4 the thirteenth from above, 182.8 to 197.2.
LONE = score_of([(4, 8, 60)], length=16)
"""From a quarter to three quarters of the time: 44 + 236 = 280 to 44 + 708 = 752 pixels."""


def test_a_lone_note_is_where_its_time_and_pitch_say(tmp_path):
    (note,) = rectangles(drawn(LONE, tmp_path, width=1000, height=400), *NOTE_COLOURS)
    # A hair's breadth is left free after a note and below it.
    assert note == {"x": 280.0, "y": 182.8, "width": 471.2, "height": 13.9}


def test_octaves_and_bars_are_named(tmp_path):
    # 4 ticks to the beat: a bar of four beats is all there is.
    root = drawn(LONE, tmp_path, width=1000, height=400)
    assert Counter(labels(root)) == Counter(["C3", "C4", "C5", "1", "bar"])


def test_each_track_has_a_colour(tmp_path):
    tracks = [Track(str(number)) for number in range(7)]
    root = drawn(score_of([(0, 4, 60, 80, n) for n in range(7)], tracks=tracks), tmp_path)
    # The seventh track begins with the first colour again.
    assert [len(rectangles(root, colour)) for colour in NOTE_COLOURS] == [2, 1, 1, 1, 1, 1]


def test_a_score_without_notes_is_an_empty_grid(tmp_path):
    root = drawn(score_of([]), tmp_path)
    assert rectangles(root, *NOTE_COLOURS) == []
    assert rectangles(root, BAR_LINE) == []
    assert "C4" in labels(root)


def test_bar_lines_follow_odd_and_changing_meters(tmp_path):
    # 4 ticks to the beat: a bar of 7/8 is 14 ticks, one of 5/4 is 20, one of 3/16 is 3. The 5/4
    # begins at tick 28, and the 3/16 at tick 50, cutting the second bar of five short; the piece
    # ends at 56.
    score = score_of(
        [(0, 1, 60)],
        meters=[(0, 7, 8), (28, 5, 4), (50, 3, 16), (900, 4, 4)],
        length=56,
    )
    root = drawn(score, tmp_path, width=44 + 560 + 12, height=200)  # ten pixels to the tick
    lines = [round((line["x"] - 44) / 10) for line in rectangles(root, BAR_LINE)]
    assert lines == [0, 14, 28, 48, 50, 53]


def test_bar_numbers_keep_their_distance(tmp_path):
    score = score_of([(0, 16 * 500, 60)])
    root = drawn(score, tmp_path, width=1200)
    assert len(rectangles(root, BAR_LINE)) == 500
    numbers = [int(label) for label in labels(root) if label.isdigit()]
    # 1144 pixels for 500 bars are 2.288 for each: 15 of them are the first to take 34 pixels.
    assert numbers == list(range(1, 501, 15))


def test_a_very_long_piece_has_no_endless_grid(tmp_path):
    score = score_of([(2**40, 1, 60)], meters=[(0, 1, 64), (5000, 1, 64)])
    assert len(rectangles(drawn(score, tmp_path), BAR_LINE)) == 4000


def png(score: Score, folder: Path, **options) -> Image.Image:
    writer = PictureWriter(PictureConfig(format="png", **options))
    assert writer.suffix == ".png"
    path = folder / "piece.png"
    writer.write(score, path)
    with Image.open(path) as opened:
        opened.load()
        return opened.convert("RGB")


def rgb(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))


def test_a_png_has_the_size_asked_for_and_the_note_in_its_place(tmp_path):
    picture = png(LONE, tmp_path, width=1000, height=400)
    assert picture.size == (1000, 400)
    ink = rgb(NOTE_COLOURS[0])
    # Inside the note, near its four corners; and outside, a few pixels further.
    for x, y in [(282, 185), (748, 185), (282, 194), (748, 194)]:
        assert picture.getpixel((x, y)) == ink
    for x, y in [(277, 190), (755, 190), (500, 179), (500, 200)]:
        assert picture.getpixel((x, y)) != ink
    # Half-way between two bar lines a white key's row is paper, a black key's is shaded: the
    # row of B4 (71) begins at 24.4, that of B flat 4 (70) at 38.8.
    assert picture.getpixel((500, 31)) == (255, 255, 255)
    assert picture.getpixel((500, 45)) == rgb("#f0f1f4")


def test_a_png_of_no_notes_and_of_the_shortest_notes(tmp_path):
    assert png(score_of([]), tmp_path, width=200, height=120).size == (200, 120)
    # A tick is a tenth of a pixel wide here; the note is a dot all the same.
    short = score_of([(5000, 1, 60)], length=10_000)
    picture = png(short, tmp_path, width=44 + 1000 + 12, height=400)
    assert picture.getpixel((544, 190)) == rgb(NOTE_COLOURS[0])


def test_both_formats_draw_the_same(tmp_path):
    score = score_of([(0, 8, 60), (8, 8, 67, 80, 1)], tracks=[Track(), Track()])
    picture = png(score, tmp_path, width=1000, height=400)
    root = drawn(score, tmp_path, width=1000, height=400)
    for index in (0, 1):
        (note,) = rectangles(root, NOTE_COLOURS[index])
        middle = (note["x"] + note["width"] / 2, note["y"] + note["height"] / 2)
        assert picture.getpixel(tuple(map(int, middle))) == rgb(NOTE_COLOURS[index])


def test_texts_are_not_drawn(tmp_path):
    with pytest.raises(TypeError, match="pictures are drawn of scores"):
        PictureWriter(PictureConfig()).write(Text("X:1"), tmp_path / "piece.svg")
