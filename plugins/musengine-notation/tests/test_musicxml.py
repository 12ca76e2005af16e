from __future__ import annotations

import pytest
from abc_rows import notes, notes_of
from xml_rows import file_of, read, read_notes, read_tempos, rows, tempos

from musengine.api import Item, Track
from musengine.errors import UnreadableError
from musengine_notation.config import NotationConfig
from musengine_notation.musicxml.score import score_of_root
from musengine_notation.musicxml.text import musicxml_root
from musengine_notation.reader import NotationReader


@pytest.mark.parametrize(("what", "xml", "wanted"), rows("notes"))
def test_notes_are_read_as_the_page_says(what, xml, wanted):
    assert read_notes(xml) == notes(wanted), what


@pytest.mark.parametrize(("what", "xml", "wanted"), rows("tempos"))
def test_tempos_are_read_as_the_page_says(what, xml, wanted):
    assert read_tempos(xml) == tempos(wanted), what


def instrument(name: str, words: str, midi: str) -> tuple[str, str]:
    """The two elements of an instrument in the list of parts."""
    return (
        f'<score-instrument id="{name}"><instrument-name>{words}</instrument-name>'
        "</score-instrument>",
        f'<midi-instrument id="{name}">{midi}</midi-instrument>',
    )


def parts_of(*instruments: tuple[str, str], name: str = "Part") -> str:
    """A list of one part with these instruments."""
    both = "".join(first for first, _ in instruments) + "".join(last for _, last in instruments)
    return f'<score-part id="P1"><part-name>{name}</part-name>{both}</score-part>'


FLUTE = instrument("I1", "Flute", "<midi-channel>1</midi-channel><midi-program>74</midi-program>")
PICCOLO = instrument("I2", "Piccolo", "<midi-program>73</midi-program>")


def test_each_instrument_of_a_part_is_a_track():
    parts = parts_of(FLUTE, PICCOLO, name="Winds")
    score, faults = read('C5:2+<instrument·id="I1"/> D6+<instrument·id="I2"/> E5', parts)
    # A note that names none is for the first.
    assert notes_of(score) == notes("C5@0:2 D6@2 E5@3")
    assert score.tracks == (Track("Winds: Flute", 73), Track("Winds: Piccolo", 72))
    assert score.track.tolist() == [0, 1, 0]
    assert not faults


def test_an_instrument_changes_where_the_music_says_so():
    change = (
        '<sound><midi-instrument·id="I1"><midi-program>80</midi-program></midi-instrument></sound>'
    )
    score, _ = read(f"C5:2 {change} D5:2", parts_of(FLUTE))
    assert [(track.program, track.name) for track in score.tracks] == [
        (73, "Part: Flute"),
        (79, "Part: Flute"),
    ]
    assert score.track.tolist() == [0, 1]


def drum(name: str, number: int) -> tuple[str, str]:
    """An instrument that is one drum of a kit."""
    midi = f"<midi-channel>10</midi-channel><midi-unpitched>{number}</midi-unpitched>"
    return instrument(name, name, midi)


def test_the_drums_of_a_kit_are_one_track_at_the_pitches_of_their_instruments():
    # MusicXML counts from 1: 37 is the bass drum, 36.
    place = (
        "<unpitched><display-step>{}</display-step><display-octave>4</display-octave></unpitched>"
    )
    music = "".join(
        f'<note>{place.format(step)}<duration>2</duration><instrument·id="{name}"/></note> '
        for step, name in (("F", "kick"), ("C", "snare"))
    )
    score, faults = read(music, parts_of(drum("kick", 37), drum("snare", 39), name="Drums"))
    assert (score.pitch.tolist(), score.is_drum.all()) == ([36, 38], True)
    assert score.tracks == (Track("Drums", 0, True),)
    assert not faults


def test_the_name_of_an_instrument_says_its_program_where_nothing_else_does():
    for name, program in (("Violin II", 40), ("violoncello", 42), ("Nonesuch", 0)):
        parts = f'<score-part id="P1"><part-name>{name}</part-name></score-part>'
        score, _ = read("C4:4", parts)
        assert [(track.name, track.program) for track in score.tracks] == [(name, program)]


def test_staves_are_tracks():
    music = "C5:4+<staff>1</staff> <backup><duration>4</duration></backup> C3:4+<staff>2</staff>"
    score, _ = read(music)
    assert [(row, track) for row, track in zip(score.pitch, score.track, strict=True)] == [
        (48, 1),
        (72, 0),
    ]
    assert [track.name for track in score.tracks] == ["Part 1", "Part 1"]


def test_meters_and_keys():
    music = (
        "<attributes><transpose><chromatic>-2</chromatic></transpose><key><fifths>2</fifths></key>"
        "<time><beats>3+2</beats><beat-type>8</beat-type></time></attributes> C4:2.5 | "
        "<attributes><time><beats>2</beats><beat-type>4</beat-type><beats>3</beats>"
        "<beat-type>8</beat-type></time><key><fifths>-1</fifths><mode>minor</mode></key>"
        "</attributes> D4:3.5"
    )
    score, _ = read(music)
    assert score.meter.tolist() == [[5, 8], [7, 8]]
    assert (score.meter_tick / score.ticks_per_beat).tolist() == [0, 2.5]
    # A clarinet in B flat reads two sharps where C major sounds; one flat is then three.
    assert score.key.tolist() == [[0, 0], [-3, 1]]


def test_scores_divided_by_measures_are_read_as_those_by_parts():
    by_parts = file_of("C4:4 | D4:4 ‖ C3:4 | D3:4")
    one, _ = score_of_root(musicxml_root(by_parts.encode()))
    listed = by_parts.split("<part-list>")[1].split("</part-list>")[0]
    meter = "<attributes><time><beats>4</beats><beat-type>4</beat-type></time></attributes>"

    def note(step: str, octave: int) -> str:
        pitch = f"<pitch><step>{step}</step><octave>{octave}</octave></pitch>"
        return f"<note>{pitch}<duration>4</duration></note>"

    measures = "".join(
        f'<measure number="{count}">'
        + "".join(
            f'<part id="P{part}">{meter if count == 1 else ""}{note(step, octave)}</part>'
            for part, octave in ((1, 4), (2, 3))
        )
        + "</measure>"
        for count, step in ((1, "C"), (2, "D"))
    )
    text = f"<score-timewise><part-list>{listed}</part-list>{measures}</score-timewise>"
    other, faults = score_of_root(musicxml_root(text.encode()))
    assert other.fingerprint() == one.fingerprint()
    assert not faults


@pytest.mark.parametrize(
    ("music", "place", "what"),
    [
        ("C4:4 | C4:3 | D4:4", "bar 2 (line 2)", "3 quarter notes instead of 4"),
        ("C4:4 | C4:4 | C4:4 | C4:5 | D4:4", "bar 4 (line 4)", "5 quarter notes instead of 4"),
        ("C4:4 | <note><duration>4</duration></note>", "bar 2 (line 2)", "no pitch"),
        ("C4:4 | <note><rest/></note> C4:4", "bar 2 (line 2)", "duration"),
        ("C4:4 | <nonsense/> C4:4", "bar 2 (line 2)", "'nonsense'"),
        ('C4:4 | <sound·tempo="fast"/> C4:4', "bar 2 (line 2)", "'fast'"),
        (
            'C4:4 | <attributes><measure-style><measure-repeat·type="start">1</measure-repeat>'
            "</measure-style></attributes> R:4",
            "bar 2 (line 2)",
            "repeat bars",
        ),
        (
            "C4:4 | <attributes><time><beats>x</beats><beat-type>4</beat-type></time></attributes>"
            " C4:4",
            "bar 2 (line 2)",
            "meter",
        ),
        ("C4:4 | <backup><duration>3</duration></backup> C4:4", "bar 2 (line 2)", "behind"),
        (
            "C4:4 | <direction><direction-type><metronome/></direction-type></direction> C4:4",
            "bar 2 (line 2)",
            "metronome",
        ),
        ('<sound·tempo="60"/> C4:4 ‖ <sound·tempo="90"/> C3:4', "part 'Part 2', bar 1", "60"),
    ],
)
def test_what_is_not_understood_is_told_and_strictly_refused(tmp_path, music, place, what):
    path = tmp_path / "a.musicxml"
    path.write_text(file_of(music), encoding="utf-8")
    item = Item(path, path.name)
    (piece,) = NotationReader(NotationConfig()).read(item)
    assert [warning for warning in piece.warnings if place in warning and what in warning]
    with pytest.raises(UnreadableError) as caught:
        NotationReader(NotationConfig(strict=True)).read(item)
    assert caught.value.code == "notation-not-understood"


def test_bars_that_need_not_be_full_are_not_told():
    end, double = (
        "<barline><bar-style>light-heavy</bar-style></barline>",
        ("<barline><bar-style>light-light</bar-style></barline>"),
    )
    # An upbeat and its complement; bars at a double bar; a bar divided at the end of a line.
    assert not read(f"C4 | C4:4 | C4:3 {double} | C4 | C4:4 | C4:3 | C4 | C4:4 | C4:3 {end}")[1]
    # A bar of a voice of its own may end early.
    voices = "C4:4 <backup><duration>4</duration></backup> C3"
    assert not read(f"C4:4 | {voices} | C4:4")[1]


def test_too_long_notes_are_refused():
    with pytest.raises(UnreadableError):
        read("C4:5000")


KERN = (
    "**kern\t**dynam\n*M2/4\t*\n=1\t=1\n4c\tf\n4d[\t.\n=2\t=2\n4d]\t.\n{}=3\t=3\n2e 2g\t.\n*-\t*-\n"
)


def test_bars_of_humdrum_are_looked_at(tmp_path):
    path = tmp_path / "a.krn"
    for filling, faults in (("4e\t.\n", 0), ("", 1)):
        path.write_text(KERN.format(filling), encoding="utf-8")
        (piece,) = NotationReader(NotationConfig()).read(Item(path, path.name))
        assert len(piece.warnings) == faults
    assert "bar 2 (line 6) has 1 quarter notes instead of 2" in piece.warnings[0]
    with pytest.raises(UnreadableError) as caught:
        NotationReader(NotationConfig(strict=True)).read(Item(path, path.name))
    assert caught.value.code == "notation-not-understood"
