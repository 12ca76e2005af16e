"""What the plugin declares."""

from __future__ import annotations

from musengine.api import ReaderDeclaration, WriterDeclaration, hookimpl
from musengine_notation.config import AbcConfig, NotationConfig

musengine_api = ">=1,<2"


@hookimpl
def musengine_readers() -> list[ReaderDeclaration]:
    """Declare the readers of notated music, and of music21's corpora."""
    return [
        ReaderDeclaration(
            name="notation",
            summary="MusicXML files as scores, and Humdrum files through music21",
            target="musengine_notation.reader:NotationReader",
            config=NotationConfig,
            suffixes=(".musicxml", ".mxl", ".xml", ".krn"),
        ),
        ReaderDeclaration(
            name="abc",
            summary="ABC tunes as scores, a piece for each, by the standard 2.1",
            target="musengine_notation.abc.reader:AbcReader",
            config=AbcConfig,
            suffixes=(".abc",),
        ),
        ReaderDeclaration(
            name="abc-text",
            summary="ABC tunes as they are written, a text for each",
            target="musengine_notation.abc.text:AbcTextReader",
            suffixes=(".abc",),
            content=("text",),
            # Where an encoder takes both, what the text stands for goes first.
            priority=-1,
        ),
        ReaderDeclaration(
            name="music21",
            summary="The corpora inside the music21 package, such as music21:bach-chorales",
            target="musengine_notation.corpus:Music21CorpusReader",
            config=NotationConfig,
            scheme="music21",
        ),
        ReaderDeclaration(
            name="music21-tunes",
            summary="The ABC tunes inside the music21 package as texts, such as music21:airdsAirs",
            target="musengine_notation.corpus:Music21TunesReader",
            scheme="music21",
            content=("text",),
            priority=-1,
        ),
    ]


@hookimpl
def musengine_writers() -> list[WriterDeclaration]:
    """Declare the writer of notated music."""
    return [
        WriterDeclaration(
            name="musicxml",
            summary="Notated music: parts, bars, voices, ties and spelling (MusicXML)",
            target="musengine_notation.writer:MusicXmlWriter",
            suffixes={".musicxml": {}},
        ),
    ]
