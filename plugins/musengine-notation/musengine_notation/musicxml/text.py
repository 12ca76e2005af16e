"""MusicXML files, plain and compressed, to elements, safely."""

from __future__ import annotations

import io
import zipfile
import zlib
from xml.etree import ElementTree
from xml.parsers import expat

from musengine.errors import UnreadableError

MAX_TEXT = 64 * 2**20
"""Bytes that a compressed file may hold."""
_CONTAINER = "META-INF/container.xml"


def musicxml_root(data: bytes) -> ElementTree.Element:
    """Return the score of a MusicXML file, compressed or not, its measures with their lines.

    The line of the file at which a measure begins is its attribute `LINE`.

    Raises:
        UnreadableError: no XML, no score, too much of it, or entities of its own in it.
    """
    # By its bytes: files of either kind are found under either ending.
    xml = _unpacked(data) if data.startswith(b"PK") else data
    root = _parsed(xml)
    if root.tag not in ("score-partwise", "score-timewise"):
        what = f"its root is {root.tag[:60]!r}"
        raise UnreadableError(f"not a MusicXML score: {what}, not 'score-partwise'")
    return root


LINE = " line"
"""No attribute of a file has a blank in its name."""


def _parsed(xml: bytes) -> ElementTree.Element:
    builder = ElementTree.TreeBuilder()
    # expat itself, and not ElementTree's parser, which tells no line numbers.
    parser = expat.ParserCreate()
    parser.buffer_text = True

    def on_doctype(name: str, system: str | None, public: str | None, inside: bool) -> None:
        # Entities that stand for each other grow endlessly.
        if inside:
            raise UnreadableError("it declares entities of its own, which no MusicXML file needs")

    def on_element(tag: str, attributes: dict[str, str]) -> None:
        if tag == "measure":
            attributes[LINE] = str(parser.CurrentLineNumber)
        builder.start(tag, attributes)

    parser.StartDoctypeDeclHandler = on_doctype
    parser.StartElementHandler = on_element
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(xml, True)
        return builder.close()
    except (expat.ExpatError, ElementTree.ParseError, ValueError, LookupError) as error:
        raise UnreadableError(f"no XML: {error}") from error


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
