from __future__ import annotations

import io
import random
import zipfile
from pathlib import Path

import pytest

from musengine.api import Item, Piece, Score
from musengine.errors import UnreadableError
from musengine.testing import rows_of
from musengine_notation.config import NotationConfig
from musengine_notation.musicxml import text as musicxml
from musengine_notation.musicxml.text import musicxml_root
from musengine_notation.reader import NotationReader
from musengine_notation.stream import TICKS_PER_BEAT

XML = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 4.0 Partwise//EN"
 "http://www.musicxml.org/dtds/partwise.dtd">
<score-partwise version="4.0">
 <part-list><score-part id="P1"><part-name>Flöte</part-name>
  <score-instrument id="I1"><instrument-name>Flute</instrument-name></score-instrument>
  <midi-instrument id="I1"><midi-channel>1</midi-channel><midi-program>74</midi-program>
  </midi-instrument>
 </score-part></part-list>
 <part id="P1">
  <measure number="0" implicit="yes">
   <attributes><divisions>2</divisions><key><fifths>-3</fifths><mode>minor</mode></key>
    <time><beats>3</beats><beat-type>4</beat-type></time></attributes>
   <direction><sound tempo="90"/></direction>
   <note><pitch><step>G</step><octave>4</octave></pitch><duration>1</duration></note>
  </measure>
  <measure number="1">
   <note><pitch><step>C</step><octave>5</octave></pitch><duration>4</duration></note>
   <note><chord/><pitch><step>E</step><alter>-1</alter><octave>5</octave></pitch>
    <duration>4</duration></note>
   <note><rest/><duration>2</duration></note>
  </measure>
  <measure number="2">
   <note><pitch><step>B</step><octave>3</octave></pitch><duration>6</duration></note>
  </measure>
 </part>
</score-partwise>
"""

KERN = """**kern\t**kern
*M2/4\t*M2/4
*k[f#]\t*k[f#]
*G:\t*G:
=1\t=1
4G\t8d
.\t8e
4D\t4f#
=2\t=2
2GG\t2g
==\t==
*-\t*-
"""


TIED_VOICES = """**kern\t**kern
*M4/4\t*M4/4
*\t*^
=1\t=1\t=1
4C\t4e\t4c
4D\t[4f\t[4d
2E\t2f]\t4d]
.\t.\t4B
=2\t=2\t=2
1C\t[1g\t1c
=3\t=3\t=3
*\t*v\t*v
1C\t1g]
==\t==
*-\t*-
"""


def read(folder: Path, name: str, data: bytes | str) -> list[Piece]:
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return list(NotationReader(NotationConfig()).read(Item(path, name, "style")))


def refusal(folder: Path, name: str, data: bytes | str) -> str:
    with pytest.raises(UnreadableError) as caught:
        read(folder, name, data)
    (line,) = caught.value.lines
    return line


def in_beats(score: Score) -> list[tuple[float, float, int]]:
    """(onset, duration, pitch) of every note, in beats."""
    return [
        (onset / TICKS_PER_BEAT, duration / TICKS_PER_BEAT, pitch)
        for onset, duration, pitch, _, _ in rows_of(score)
    ]


def zipped(**members: bytes | str) -> bytes:
    """A zip archive; double underscores in the names stand for slashes, the last one for a dot."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            folder, _, last = name.rpartition("__")
            # Of no day: the bytes name a test, whose name several processes must agree on.
            member = zipfile.ZipInfo(f"{folder}.{last}".replace("__", "/"))
            archive.writestr(member, data, zipfile.ZIP_DEFLATED)
    return file.getvalue()


CONTAINER = """<?xml version="1.0"?><container><rootfiles>
<rootfile full-path="inside/music.xml"/></rootfiles></container>"""


def test_ties_in_voices_that_divide_a_column_are_joined_each_in_its_own(tmp_path):
    # In bar 1 f lasts from beat 1 for 1 + 2, d for 1 + 1; g is tied into where the voices join.
    (piece,) = read(tmp_path, "a.krn", TIED_VOICES)
    upper = piece.content.take(piece.content.track == 0)
    found = [(0, 1, 60), (0, 1, 64), (1, 2, 62), (1, 3, 65), (3, 1, 59), (4, 4, 60), (4, 8, 67)]
    assert in_beats(upper) == found
    assert piece.warnings == ()


def check_the_tune(pieces: list[Piece]) -> None:
    (piece,) = pieces
    score = piece.content
    assert (piece.style, piece.format, piece.warnings) == ("style", "MusicXML", ())
    assert in_beats(score) == [(0, 0.5, 67), (0.5, 2, 72), (0.5, 2, 75), (3.5, 3, 59)]
    assert [(track.name, track.program) for track in score.tracks] == [("Flöte", 73)]
    assert score.tempo_bpm.tolist() == [60e6 / 666_667]
    assert score.key.tolist() == [[-3, 1]]
    # The upbeat of an eighth is a bar of its own: bars are counted from the first full one.
    assert (score.meter_tick.tolist(), score.meter.tolist()) == (
        *([0, TICKS_PER_BEAT // 2], [[1, 8], [3, 4]]),
    )
    assert score.bars([0, TICKS_PER_BEAT // 2, score.length]).tolist() == [0, 1, 3]


@pytest.mark.parametrize("name", ["a.musicxml", "a.xml", "A.XML"])
def test_musicxml_is_read_note_for_note(tmp_path, name):
    pieces = read(tmp_path, name, XML)
    check_the_tune(pieces)
    assert pieces[0].id == name


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_musicxml_is_read_in_the_encoding_it_says(tmp_path, encoding):
    said = {"utf-8-sig": "UTF-8", "utf-16": "UTF-16", "latin-1": "ISO-8859-1"}[encoding]
    check_the_tune(read(tmp_path, "a.xml", XML.replace("UTF-8", said, 1).encode(encoding)))


def test_compressed_musicxml_is_read_as_its_container_says(tmp_path):
    other = XML.replace("<step>", "<step>X")
    container = {"META-INF__container__xml": CONTAINER}
    data = zipped(a__xml=other, **container, inside__music__xml=XML)
    check_the_tune(read(tmp_path, "a.mxl", data))
    # Without a container the first file counts; and the suffix does not matter.
    check_the_tune(read(tmp_path, "a.musicxml", zipped(music__musicxml=XML)))


def test_humdrum_is_read(tmp_path):
    (piece,) = read(tmp_path, "a.krn", KERN)
    score = piece.content
    assert piece.format == "Humdrum"
    assert sorted(in_beats(score)) == [
        *((0, 0.5, 62), (0, 1, 55), (0.5, 0.5, 64), (1, 1, 50), (1, 1, 66)),
        *((2, 2, 43), (2, 2, 67)),
    ]
    assert len(score.tracks) == 2
    assert (score.meter.tolist(), score.key.tolist()) == ([[2, 4]], [[1, 0]])


def test_what_music21_warns_of_does_not_reach_the_terminal(tmp_path, capfd):
    (piece,) = read(tmp_path, "a.krn", "**kern\n*M\x1b[31m4/4\n4c\n2e\n*-\n")
    assert len(piece.content) == 2
    assert capfd.readouterr() == ("", "")


def test_old_humdrum_files_need_not_be_utf8(tmp_path):
    (piece,) = read(tmp_path, "a.krn", ("!!!COM: Dvořák\n" + KERN).encode("iso-8859-2"))
    assert len(piece.content) == 7


def test_a_meter_that_changes_at_the_first_full_bar_counts_there(tmp_path):
    time = "<attributes><time><beats>2</beats><beat-type>4</beat-type></time></attributes>"
    changed = XML.replace('<measure number="1">', f'<measure number="1">{time}')
    (piece,) = read(tmp_path, "a.xml", changed)
    assert piece.content.meter.tolist() == [[1, 8], [2, 4]]


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.xml", b"", "the file is empty"),
        ("a.xml", b"<score-partwise><part", "no XML: "),
        ("a.xml", b"\xff\xfe\0", "no XML: "),
        ("a.xml", b"<mei/>", "not a MusicXML score: its root is 'mei'"),
        ("a.xml", b"<score-partwise/>", ""),
        ("a.mxl", b"PK\3\4 and no more", "a damaged compressed file: "),
        ("a.mxl", zipped(read__me=b"hello"), "no score in the compressed file"),
        ("a.krn", b"**dynam\n*-\n", "not a Humdrum file with notes: no **kern in it"),
        ("a.krn", b"**kern\n*M4/999999\n4c\n*-\n", "a meter of 4/999999 is not read"),
        (
            "a.xml",
            XML.replace("<beats>3<", "<beats>30000<").encode(),
            "a meter of 30000 is not read",
        ),
    ],
)
def test_what_cannot_be_read_is_said_in_a_line(tmp_path, name, data, reason):
    assert refusal(tmp_path, name, data).startswith(reason)


BOMB = """<?xml version="1.0"?>
<!DOCTYPE score-partwise [
 <!ENTITY a "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa">
 <!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
 <!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">
]>
<score-partwise><part-list>&c;</part-list></score-partwise>"""
FILE = """<!DOCTYPE score-partwise [<!ENTITY a SYSTEM "file:///etc/hostname">]>
<score-partwise><part-list>&a;</part-list></score-partwise>"""


@pytest.mark.parametrize("xml", [BOMB, FILE])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_of_a_files_own_are_refused(tmp_path, xml, encoding):
    said = "it declares entities of its own, which no MusicXML file needs"
    assert refusal(tmp_path, "a.xml", xml.encode(encoding)) == said
    assert refusal(tmp_path, "a.mxl", zipped(a__xml=xml.encode(encoding))) == said


def test_a_compressed_file_is_bounded_by_what_comes_out_of_it(monkeypatch):
    monkeypatch.setattr(musicxml, "MAX_TEXT", 10_000)
    spaces = XML.replace("<part-list>", " " * 20_000 + "<part-list>")
    with pytest.raises(UnreadableError, match="uncompressed it is larger than the 10000 bytes"):
        musicxml_root(zipped(a__xml=spaces))
    assert musicxml_root(zipped(a__xml=XML)).tag == "score-partwise"


@pytest.mark.parametrize(("name", "text"), [("a.xml", XML), ("a.krn", KERN)])
def test_damaged_files_are_read_or_refused(tmp_path, name, text):
    chance = random.Random(7)
    for _ in range(12):
        data = bytearray(text.encode())
        for _ in range(chance.randint(1, 4)):
            data[chance.randrange(len(data))] = chance.choice(b"\0<>|:[]9zC*\xff")
        path = tmp_path / name
        path.write_bytes(data[: chance.randint(len(data) // 2, len(data))])
        lines = ["read"]
        try:
            pieces = list(NotationReader(NotationConfig()).read(Item(path, name)))
            assert all(len(piece.content) for piece in pieces)
        except UnreadableError as error:
            lines = error.lines
        assert len(lines) == 1
