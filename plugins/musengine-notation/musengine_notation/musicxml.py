"""MusicXML files, plain and compressed, to text that is safe to parse."""

from __future__ import annotations

import io
import zipfile
import zlib
from typing import NoReturn
from xml.etree import ElementTree
from xml.parsers import expat

from musengine.errors import UnreadableError

MAX_TEXT = 64 * 2**20
"""Bytes that a compressed file may hold."""
_CONTAINER = "META-INF/container.xml"


def musicxml_text(data: bytes) -> str:
    """Return the score of a MusicXML file, compressed or not, as XML without a document type.

    Raises:
        UnreadableError: no XML, no score, too much of it, or entities of its own in it.
    """
    xml = _unpacked(data) if data.startswith(b"PK") else data
    root = _parsed(xml)
    if root.tag != "score-partwise":
        what = f"its root is {root.tag!r}"
        raise UnreadableError(f"not a MusicXML score in parts: {what}, not 'score-partwise'")
    return ElementTree.tostring(root, encoding="unicode")


def _parsed(xml: bytes) -> ElementTree.Element:
    try:
        _refuse_entities(xml)
        return ElementTree.fromstring(xml)
    except (expat.ExpatError, ElementTree.ParseError, ValueError, LookupError) as error:
        raise UnreadableError(f"no XML: {error}") from error


class _Checked(Exception):  # noqa: N818  not an error
    """The first element is reached: no declarations can follow."""


def _refuse_entities(xml: bytes) -> None:
    """Refuse declarations in the file itself: entities that stand for each other grow endlessly."""

    def on_doctype(name: str, system: str | None, public: str | None, inside: bool) -> None:
        if inside:
            raise UnreadableError("it declares entities of its own, which no MusicXML file needs")

    def on_element(name: str, attributes: dict[str, str]) -> NoReturn:
        raise _Checked

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = on_doctype
    parser.StartElementHandler = on_element
    try:
        parser.Parse(xml, True)
    except _Checked:
        return


def _unpacked(data: bytes) -> bytes:
    """Return the score of a compressed file: the one its container names, else the first."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            if _CONTAINER in names:
                for element in _parsed(_member(archive, _CONTAINER)).iter():
                    path = element.get("full-path", "")
                    if element.tag.rpartition("}")[2] == "rootfile" and path in names:
                        return _member(archive, path)
            for name in names:
                if name.lower().endswith((".xml", ".musicxml")) and name != _CONTAINER:
                    return _member(archive, name)
    # An encrypted file is a RuntimeError, an unknown compression a NotImplementedError.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError, ValueError) as error:
        raise UnreadableError(f"a damaged compressed file: {error}") from error
    raise UnreadableError("no score in the compressed file")


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    # What the archive says of sizes may be wrong; what comes out of it is counted.
    with archive.open(name) as file:
        found = file.read(MAX_TEXT + 1)
    if len(found) > MAX_TEXT:
        raise UnreadableError(f"uncompressed it is larger than the {MAX_TEXT} bytes it may have")
    return found
