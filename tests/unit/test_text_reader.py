from __future__ import annotations

from pathlib import Path

import pytest

from musengine.builtin.readers.abc import MAX_BYTES, Tune, tunes_of
from musengine.builtin.readers.text import TextReader
from musengine.data.discovery import DiscoveryNotes, find_items
from musengine.errors import UnreadableError
from musengine.interfaces.reader import Item
from musengine.music.score import Piece, Text
from musengine.pipeline.values import Source
from musengine.plugins import manager
from musengine.plugins.declarations import NoSettings

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
    return list(TextReader(NoSettings()).read(Item(path, name, "style")))


def refusal(folder: Path, name: str, data: bytes) -> str:
    with pytest.raises(UnreadableError) as caught:
        read(folder, name, data)
    (line,) = caught.value.lines
    return line


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
    assert [first.label, second.label] == ["tune #0 (X:1, First)", "tune #1 (X:17, Nancy)"]


def test_a_text_without_numbers_is_one_tune():
    assert tunes_of("T:Alone\nK:C\nC\n\nD\n\n") == [Tune("T:Alone\nK:C\nC\n\nD\n", 0)]
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


def test_any_other_text_is_one_piece_as_it_stands(tmp_path):
    (piece,) = read(tmp_path, "a.txt", "X:1\n\n  two\n\nX:2\n")
    assert (piece.id, piece.content) == ("a.txt", Text("X:1\n\n  two\n\nX:2\n", "plain"))


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_byte_order_mark_and_the_kind_of_line_end_do_not_matter(tmp_path, mark):
    (piece,) = read(tmp_path, "a.txt", mark + "é\r\nb\rc\n".encode())
    assert piece.content == Text("é\nb\nc\n")


@pytest.mark.parametrize(
    ("data", "place"),
    [
        # Latin-1: the e with an accent is one byte, in the second line, the third of the file.
        (b"a\n\xe9tude\n", "byte 2 is 0xe9, in line 2"),
        (b"\xef\xbb\xbfa\n\xe9tude\n", "byte 5 is 0xe9, in line 2"),
        # UTF-16: its byte order mark is no UTF-8.
        ("Étude".encode("utf-16"), "byte 0 is 0xff, in line 1"),
        # Cut in the middle of a character of three bytes.
        ("a€".encode()[:-1], "byte 1 is 0xe2, in line 1"),
    ],
)
def test_other_bytes_are_refused_with_their_place(tmp_path, data, place):
    expected = f"not UTF-8: {place}; save it as UTF-8"
    assert refusal(tmp_path, "a.txt", data) == expected
    assert refusal(tmp_path, "a.abc", data) == expected


def test_nothing_and_too_much_is_refused(tmp_path):
    assert refusal(tmp_path, "a.txt", b"") == "the file is empty"
    assert refusal(tmp_path, "a.abc", b"\r\n \r\n") == "the file is empty"
    large = refusal(tmp_path, "a.txt", b"x" * (MAX_BYTES + 1))
    assert large == f"larger than the {MAX_BYTES} bytes a file may have"
    many = refusal(tmp_path, "a.abc", b"X:\n" * 100_001)
    assert many == "100001 tunes are more than the 100000 a book may have"


def test_a_book_of_real_tunes_is_split_into_all_of_them(data_folder):
    folder = data_folder / "nottingham" / "ABC_cleaned"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    reader = TextReader(NoSettings())
    pieces = [
        piece
        for path in sorted(folder.glob("*.abc"))
        for piece in reader.read(Item(path, path.name))
    ]
    # The data's own description: 14 files with 1,034 tunes.
    assert len(pieces) == 1034
    assert all(piece.content.text.startswith("X:") for piece in pieces)
    assert all("\nK:" in piece.content.text for piece in pieces)


def readers_of(folder: Path, *accepts: str) -> dict[str, str]:
    """Which reader reads which file of a folder."""
    registry = manager.load_from([]).registry
    items = find_items(Source(str(folder)), registry, None, DiscoveryNotes(), accepts)
    return {item.id: component.name for component, item in items}


def test_what_the_encoder_takes_decides_which_reader_reads_a_file(tmp_path):
    for name in ("a.ABC", "b.txt", "c.mxl", "d.krn"):
        (tmp_path / name).touch()
    assert readers_of(tmp_path, "text") == {"a.ABC": "text", "b.txt": "text"}
    notated = {"a.ABC": "notation", "c.mxl": "notation", "d.krn": "notation"}
    assert readers_of(tmp_path, "score") == notated
    pytest.importorskip("music21")
    # Where both are welcome, the notes a text stands for go first.
    assert readers_of(tmp_path, "score", "text") == notated | {"b.txt": "text"}
