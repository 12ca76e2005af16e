"""The reader that gives every score flattened, whichever reader is for its kind of file."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from musengine.api import (
    Component,
    DiscoveryNotes,
    Item,
    Piece,
    Reader,
    ReaderDeclaration,
    Registry,
    Score,
    Source,
    find_items,
    load_registry,
    open_file,
)
from musengine.errors import UnreadableError, UserError
from musengine_tools.config import FlattenedConfig
from musengine_tools.edits import Adjustments


class FlattenedReader(Reader[FlattenedConfig]):
    """Reads files as `musengine convert --flatten` would write them."""

    @functools.cached_property
    def _registry(self) -> Registry:
        return load_registry()

    def library(self) -> str:
        """Return what the readers of scores that it reads through read through themselves."""
        found = {component.create().library() for component in self._readers()}
        return ", ".join(sorted(found - {""}))

    def _readers(self) -> Iterator[Component]:
        for entry in self._registry.of_kind("reader"):
            declaration = entry.declared(ReaderDeclaration)
            of_scores = declaration.suffixes and "score" in declaration.content
            if of_scores and not entry.missing_requirements():
                yield Component(entry, declaration.config())

    def read(self, item: Item) -> Iterable[Piece]:
        """Return the pieces of a file; those of which nothing is left are passed over.

        Raises:
            UnreadableError: the file cannot be read, or nothing is left of any of its pieces.
        """
        pieces, reasons = [], []
        for piece in open_file(self._reader_of(item.path), item):
            assert isinstance(piece.content, Score)
            try:
                score, _ = self._adjustments.apply(piece.content)
            except UnreadableError as error:
                reasons.append(error)
            else:
                pieces.append(replace(piece, content=score))
        if not pieces and reasons:
            raise reasons[0]
        return pieces

    @property
    def _adjustments(self) -> Adjustments:
        return Adjustments(
            flatten=True,
            longest_note=self.config.longest_note,
            keep_drums=self.config.keep_drums,
            channels=self.config.channels,
            mute_channels=self.config.mute_channels,
        )

    def _reader_of(self, path: Path) -> Component:
        """Return the reader that would read the file by its ending.

        Raises:
            UnreadableError: there is none.
        """
        source = Source(str(path))
        try:
            ((reader, _),) = find_items(source, self._registry, None, DiscoveryNotes(), ("score",))
        except UserError as error:
            raise UnreadableError(error.lines[0], code=error.code) from error
        return reader
