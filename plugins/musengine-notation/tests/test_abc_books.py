from __future__ import annotations

import re
from pathlib import Path

import pytest

from musengine.api import (
    DiscoveryNotes,
    Item,
    NoSettings,
    Piece,
    Source,
    Text,
    find_items,
    load_registry,
)
from musengine.errors import UnreadableError
from musengine_notation.abc.book import Tune, tunes_of
from musengine_notation.abc.reader import AbcReader
from musengine_notation.abc.text import AbcTextReader
from musengine_notation.config import AbcConfig

BOOK = """%abc-2.1
M:6/8
R:jig
%%pagewidth 21cm
 not a field

Some words about the book.

X:1
T:First
K:G
GAB|

Words between the tunes: M: 3/4.

X: 17 % of them
T: Nancy
T: or Nan
M:4/4

K:D
|:d2 e2|
% half-way
f4:|


"""


def read(folder: Path, name: str, data: bytes | str) -> list[Piece]:
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return list(AbcTextReader(NoSettings()).read(Item(path, name, "style")))


def test_a_book_is_split_into_tunes_with_the_books_own_header():
    first, second = tunes_of(BOOK)
    # Fields and directives of the header go to every tune; words do not.
    header = ["M:6/8", "R:jig", "%%pagewidth 21cm"]
    assert first.text.split("\n") == ["X:1", "T:First", *header, "K:G", "GAB|", ""]
    # A tune's own fields come after the header's, so they count. The blank line before its key
    # ends nothing, the one after its music does.
    own = ["M:4/4", "K:D", "|:d2 e2|", "% half-way", "f4:|", ""]
    titles = ["X: 17 % of them", "T: Nancy", "T: or Nan"]
    assert second.text.split("\n") == [*titles, *header, *own]
    assert [number for number, _ in first.numbered_lines] == [9, 10, 2, 3, 4, 11, 12]
    assert second.numbered_lines[-1] == (24, "f4:|")
    assert [first.label, second.label] == ["tune #0 (X:1, First)", "tune #1 (X:17, Nancy)"]


def test_a_text_without_numbers_is_one_tune():
    (alone,) = tunes_of("\nT:Alone\nK:C\nC\n\nD\n\n")
    assert (alone.text, alone.place) == ("T:Alone\nK:C\nC\n\nD\n", 0)
    assert alone.numbered_lines[:2] == [(2, "T:Alone"), (3, "K:C")]
    assert tunes_of("  \n\n") == []
    assert Tune("K:C\nC\n", 4).label == "tune #4"


def test_an_x_within_a_line_begins_no_tune():
    assert len(tunes_of("X:1\nK:C\nC [X:2] D|\n w:X:3\n")) == 1


def test_tunes_become_texts_in_abc_notation(tmp_path):
    pieces = read(tmp_path, "book.abc", BOOK)
    assert [piece.id for piece in pieces] == ["book.abc#0", "book.abc#1"]
    assert [piece.content for piece in pieces] == [Text(t.text, "abc") for t in tunes_of(BOOK)]
    assert {piece.style for piece in pieces} == {"style"}
    (alone,) = read(tmp_path, "ALONE.ABC", "X:1\nK:C\nC|\n")
    assert (alone.id, alone.content) == ("ALONE.ABC", Text("X:1\nK:C\nC|\n", "abc"))


def test_a_book_of_real_tunes_is_split_into_all_of_them(data_folder):
    folder = data_folder / "nottingham" / "ABC_cleaned"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    reader = AbcTextReader(NoSettings())
    pieces = [
        piece
        for path in sorted(folder.glob("*.abc"))
        for piece in reader.read(Item(path, path.name))
    ]
    # The data's own description: 14 files with 1,034 tunes.
    assert len(pieces) == 1034
    assert all(piece.content.text.startswith("X:") for piece in pieces)
    assert all("\nK:" in piece.content.text for piece in pieces)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"\r\n \r\n", "the file is empty"),
        ("\ufeffX:1\n".encode("utf-16-le"), "UTF-16; save it as UTF-8"),
        (b"X:\n" * 100_001, "100001 tunes are more than the 100000 a book may have"),
    ],
)
def test_what_holds_no_tunes_is_refused(tmp_path, data, reason):
    with pytest.raises(UnreadableError) as caught:
        read(tmp_path, "a.abc", data)
    assert caught.value.lines == [reason]


def test_what_the_encoder_takes_decides_whether_tunes_are_scores_or_texts(tmp_path):
    for name in ("a.ABC", "b.txt", "c.mxl", "d.krn"):
        (tmp_path / name).touch()

    def readers(*accepts: str) -> dict[str, str]:
        items = find_items(Source(str(tmp_path)), load_registry(), None, DiscoveryNotes(), accepts)
        return {item.id: component.name for component, item in items}

    assert readers("text") == {"a.ABC": "abc-text", "b.txt": "text"}
    notated = {"a.ABC": "abc", "c.mxl": "notation", "d.krn": "notation"}
    assert readers("score") == notated
    # Where both are welcome, the notes a text stands for go first.
    assert readers("score", "text") == notated | {"b.txt": "text"}


@pytest.mark.parametrize(
    ("data", "title", "encoding"),
    [
        (b"X:1\nT:\xc9tude \x96 caf\xe9\nK:C\nC\n", "\u00c9tude \u2013 caf\u00e9", "Windows-1252"),
        (b"X:1\nT:\xc9 \x81\nK:C\nC\n", "\u00c9 \x81", "Latin-1"),
        (b"%%abc-charset iso-8859-2\n\nX:1\nT:\xb3\nK:C\nC\n", "\u0142", "iso8859-2"),
    ],
)
def test_old_encodings_are_read_with_a_note(tmp_path, data, title, encoding):
    (text,) = read(tmp_path, "a.abc", data)
    assert f"T:{title}\n" in text.content.text
    assert text.warnings == (f"X:1: not UTF-8; read as {encoding}",)
    (score,) = AbcReader(AbcConfig(strict=True)).read(Item(tmp_path / "a.abc", "a.abc"))
    assert score.warnings == text.warnings
    assert score.content.tracks[0].name == title
    assert not read(tmp_path, "b.abc", "X:1\nT:\u00c9tude\nK:C\nC\n")[0].warnings


def test_real_tunes_are_read_in_their_meters(data_folder):
    folder = data_folder / "nottingham" / "ABC_cleaned"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    count = 0
    for path in sorted(folder.glob("*.abc"))[::4]:
        tunes = tunes_of(path.read_text(encoding="utf-8"))
        pieces = list(AbcReader(AbcConfig()).read(Item(path, path.name)))
        assert len(pieces) == len(tunes)
        count += len(tunes)
        for tune, piece in zip(tunes, pieces, strict=True):
            score = piece.content
            assert len(score) > 20
            assert score.length >= score.end.max() > 0
            named = re.search(r"^M: *(\d+)/(\d+)", tune.text, re.MULTILINE)
            assert named is not None
            # Beside it may stand an upbeat's, and those it changes to.
            assert [int(named[1]), int(named[2])] in score.meter.tolist()
    assert count > 150
