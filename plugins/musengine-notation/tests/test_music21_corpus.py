from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest

from musengine.api import (
    DiscoveryNotes,
    Item,
    NoSettings,
    Piece,
    Score,
    Source,
    Text,
    find_items,
    load_registry,
)
from musengine.errors import UnreadableError, UserError
from musengine.testing import rows_of
from musengine_notation.config import NotationConfig
from musengine_notation.corpus import Music21CorpusReader, Music21TunesReader
from musengine_notation.stream import TICKS_PER_BEAT, score_of


def reader() -> Music21CorpusReader:
    return Music21CorpusReader(NotationConfig())


def chorale(name: str) -> Item:
    (item,) = [item for item in reader().expand("bach-chorales") if item.path.stem == name]
    return item


def in_beats(score: Score, track: int = 0) -> list[tuple[float, float, int]]:
    """(onset, duration, pitch) of a track's notes, in beats."""
    return [
        (onset / TICKS_PER_BEAT, duration / TICKS_PER_BEAT, pitch)
        for onset, duration, pitch, _, where in rows_of(score)
        if where == track
    ]


def read_text(folder: Path, name: str, text: str) -> list[Piece]:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return list(reader().read(Item(path, name)))


@pytest.mark.slow
def test_the_chorales_are_352_works_each_once():
    items = reader().expand("bach-chorales")
    assert len(items) == 352
    # Three of them, bwv 277 among them, stand in the corpus in two encodings.
    assert len({item.path.stem for item in items}) == 352
    assert chorale("bwv277").path.suffix == ".mxl"
    assert [item.path.name for item in items] == sorted(item.path.name for item in items)
    assert chorale("bwv269").id == "music21:bach/bwv269.mxl"
    assert {item.style for item in items} == {"bach"}
    assert all(item.path.is_file() for item in items)


def test_a_folder_of_the_corpus_is_a_corpus():
    items = reader().expand("schubert")
    assert items
    assert all(item.id.startswith("music21:schubert/") for item in items)
    assert "non-commercial" in reader().notice(items)


def test_an_unknown_corpus_gets_the_nearest_name():
    with pytest.raises(UserError) as caught:
        reader().expand("bach-chorals")
    (line,) = caught.value.lines
    assert line.endswith("; did you mean 'bach-chorales'?")
    assert {"'bach-chorals'", "beethoven,"} < set(re.split(r"[ ;]+", line))


def test_a_chorale_has_four_parts_and_its_first_chord():
    (piece,) = reader().read(chorale("bwv269"))
    score = piece.content
    assert piece.id == "music21:bach/bwv269.mxl"
    assert (piece.style, piece.part) == ("bach", None)
    assert [track.name for track in score.tracks] == ["Soprano", "Alto", "Tenor", "Bass"]
    # "Aus meines Herzens Grunde" begins with a G major chord of one beat: G2, B3, D4, G4.
    assert [row[:3] for row in rows_of(score) if row[0] == 0] == [
        (0, TICKS_PER_BEAT, pitch) for pitch in (43, 59, 62, 67)
    ]
    # The melody's first line: an upbeat G, then G D B A G, in three-four time.
    assert in_beats(score)[:6] == [
        (0.0, 1.0, 67),
        (1.0, 2.0, 67),
        (3.0, 1.0, 74),
        (4.0, 1.5, 71),
        (5.5, 0.5, 69),
        (6.0, 1.0, 67),
    ]
    # Bars are counted from the first full one; the upbeat is a bar of one beat.
    assert score.meter.tolist() == [[1, 4], [3, 4]]
    assert score.meter_tick.tolist() == [0, TICKS_PER_BEAT]
    assert score.key.tolist() == [[1, 0]]
    # An upbeat of one beat and 20 bars and two beats of three: 1 + 62.
    assert score.length == 63 * TICKS_PER_BEAT


def test_notes_tied_over_a_bar_line_are_one_note():
    (piece,) = reader().read(chorale("bwv269"))
    # The alto's G4 of bar 8 is a quarter tied to an eighth; the bass has two halves in two bars.
    assert (24.0, 1.5, 67) in in_beats(piece.content, 1)
    assert (30.0, 2.0, 52) in in_beats(piece.content, 3)
    assert (54.0, 2.0, 55) in in_beats(piece.content, 3)
    (piece,) = reader().read(chorale("bwv10.7"))
    # The soprano's last note is tied through the last four bars of four beats.
    assert in_beats(piece.content)[-1] == (72.0, 16.0, 67)


@pytest.mark.parametrize("name", ["bwv269", "bwv10.7", "bwv254"])
def test_every_pitch_sounds_as_long_as_in_the_print(name):
    from music21 import converter

    item = chorale(name)
    (piece,) = reader().read(item)
    printed: Counter[tuple[int, int]] = Counter()
    for index, part in enumerate(
        converter.parse(item.path, forceSource=True, storePickle=False).parts
    ):
        for note in part.recurse().notes:
            for pitch in note.pitches:
                printed[index, pitch.midi] += Fraction(note.quarterLength)
    found: Counter[tuple[int, int]] = Counter()
    for _, duration, pitch, _, track in rows_of(piece.content):
        found[track, pitch] += Fraction(duration, TICKS_PER_BEAT)
    assert found == printed


ABC_BOOK = """X:1
T:First
M:3/4
L:1/4
Q:1/4=100
K:C
"Am"C2 D-|D {g}E [FA]|(3CDE C|]

X:2
T:Second
M:4/4
L:1/4
K:C
G4|]

X:3
T:Silence
M:4/4
L:1/4
K:C
z4|]
"""


def test_a_book_of_tunes_is_a_piece_for_each_tune_with_notes(tmp_path):
    pieces = read_text(tmp_path, "book.abc", ABC_BOOK)
    assert [piece.id for piece in pieces] == ["book.abc#0", "book.abc#1"]
    first, second = (piece.content for piece in pieces)
    # The chord symbol and the grace note are not notes of the tune; the tied D is one note; the
    # triplet's three notes take two beats, 20160 ticks.
    assert in_beats(first)[:5] == [
        (0.0, 2.0, 60),
        (2.0, 2.0, 62),
        (4.0, 1.0, 64),
        (5.0, 1.0, 65),
        (5.0, 1.0, 69),
    ]
    assert [row[:3] for row in rows_of(first)[5:]] == [
        (6 * TICKS_PER_BEAT, 6720, 60),
        (6 * TICKS_PER_BEAT + 6720, 6720, 62),
        (6 * TICKS_PER_BEAT + 13440, 6720, 64),
        (8 * TICKS_PER_BEAT, TICKS_PER_BEAT, 60),
    ]
    assert (first.tempo_bpm.tolist(), first.meter.tolist()) == ([100.0], [[3, 4]])
    assert in_beats(second) == [(0.0, 4.0, 67)]


CLARINET = """<?xml version="1.0" encoding="UTF-8"?>
<score-partwise version="4.0">
 <part-list><score-part id="P1"><part-name>Clarinet in B flat</part-name></score-part></part-list>
 <part id="P1"><measure number="1">
  <attributes>
   <divisions>1</divisions>
   <time><beats>4</beats><beat-type>4</beat-type></time>
   <transpose><diatonic>-1</diatonic><chromatic>-2</chromatic></transpose>
  </attributes>
  <note><pitch><step>D</step><octave>4</octave></pitch><duration>4</duration></note>
 </measure></part>
</score-partwise>
"""


def test_transposing_instruments_sound_as_they_sound(tmp_path):
    # A clarinet in B flat reads D4 (62) and sounds a whole tone lower, C4.
    (piece,) = read_text(tmp_path, "clarinet.musicxml", CLARINET)
    assert in_beats(piece.content) == [(0.0, 4.0, 60)]
    assert [track.name for track in piece.content.tracks] == ["Clarinet in B flat"]


def test_a_tempo_in_words_is_the_tempo_music21_takes_it_for():
    from music21 import note, stream, tempo

    part = stream.Part([tempo.TempoText("Allegro"), note.Note("C4")])
    part.append([tempo.MetronomeMark(number=50), note.Note("D4")])
    # music21's own table of tempo words has 132 quarters a minute for an allegro.
    score = score_of(stream.Score([part]))
    assert score.tempo_tick.tolist() == [0, TICKS_PER_BEAT]
    assert score.tempo_bpm.tolist() == [60e6 / 454_545, 50.0]


@pytest.mark.parametrize(
    ("text", "reason"),
    [("<score-partwise><part", "no XML: "), (ABC_BOOK[-40:], "no notes")],
)
def test_what_cannot_be_read_is_said_in_a_line(tmp_path, text, reason):
    name = "x.musicxml" if text.startswith("<") else "x.abc"
    with pytest.raises(UnreadableError) as caught:
        read_text(tmp_path, name, text)
    (line,) = caught.value.lines
    assert line.startswith(reason)


READ_ONE = """
from musengine_notation.config import NotationConfig
from musengine_notation.corpus import Music21CorpusReader
reader = Music21CorpusReader(NotationConfig())
item = next(i for i in reader.expand("bach-chorales") if i.path.stem == "bwv269")
(piece,) = reader.read(item)
(piece,) = reader.read(item)
print(len(piece.content))
"""


@pytest.mark.slow
def test_nothing_is_pickled(tmp_path):
    home, temporary = tmp_path / "home", tmp_path / "tmp"
    home.mkdir()
    temporary.mkdir()
    moved = {"HOME": home, "USERPROFILE": home, "TMPDIR": temporary, "TEMP": temporary}
    done = subprocess.run(
        [sys.executable, "-c", READ_ONE],
        env=os.environ | {name: str(path) for name, path in moved.items()},
        capture_output=True,
        text=True,
        check=True,
    )
    # 46 notes of the soprano, 60, 59 and 60 of the other voices.
    assert done.stdout.split() == ["225"]
    # music21 may keep its settings; a pickle would end in .p or .p.gz.
    left = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert left <= {".music21rc"}


def test_a_book_of_tunes_is_scores_or_texts_by_what_is_wanted():
    registry, found = load_registry(), DiscoveryNotes()
    source = Source("music21:airdsAirs")
    for accepts, reader in (
        (("score",), "music21"),
        (("text",), "music21-tunes"),
        (("score", "text"), "music21"),
    ):
        books = list(find_items(source, registry, None, found, accepts))
        assert {component.name for component, _ in books} == {reader}
        assert [item.path.name for _, item in books] == [f"book{n}.abc" for n in range(1, 7)]
    assert all("license.txt" in notice for notice in found.notices)
    component, item = next(iter(find_items(source, registry, None, found, ("text",))))
    tune = component.create().read(item)[0]
    assert tune.id == "music21:airdsAirs/book1.abc#0"
    assert isinstance(tune.content, Text)
    assert tune.content.notation == "abc"
    assert tune.content.text.startswith("X:0001\nT:The Ranting Highlandman.\n")


def test_a_corpus_without_tunes_is_no_text():
    with pytest.raises(UserError, match="'bach-chorales' holds no tunes in ABC notation"):
        Music21TunesReader(NoSettings()).expand("bach-chorales")
