from __future__ import annotations

from pathlib import Path

import pytest

from musengine.builtin.readers.text import MAX_BYTES, TextReader
from musengine.errors import UnreadableError
from musengine.interfaces.reader import Item
from musengine.music.piece import Piece, Text
from musengine.plugins.configs import NoSettings


def read(folder: Path, name: str, data: bytes | str) -> list[Piece]:
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return list(TextReader(NoSettings()).read(Item(path, name, "style")))


def refusal(folder: Path, name: str, data: bytes) -> str:
    with pytest.raises(UnreadableError) as caught:
        read(folder, name, data)
    (line,) = caught.value.lines
    return line


def test_a_text_is_one_piece_as_it_stands(tmp_path):
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
    assert refusal(tmp_path, "a.txt", data) == f"not UTF-8: {place}; save it as UTF-8"


def test_nothing_and_too_much_is_refused(tmp_path):
    assert refusal(tmp_path, "a.txt", b"") == "the file is empty"
    assert refusal(tmp_path, "a.txt", b"\r\n \r\n") == "the file is empty"
    large = refusal(tmp_path, "a.txt", b"x" * (MAX_BYTES + 1))
    assert large == f"larger than the {MAX_BYTES} bytes a file may have"
