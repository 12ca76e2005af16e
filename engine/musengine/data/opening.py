"""One music file to its pieces, or the reason why there are none."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from musengine.errors import UnreadableError, UserError, is_strict
from musengine.interfaces.reader import Item
from musengine.music.score import Piece
from musengine.pipeline.values import Source
from musengine.plugins.registry import Component


def open_file(reader: Component, item: Item) -> list[Piece]:
    """Read the pieces of one file, afresh.

    Raises:
        UnreadableError: there is none to read; the message says why, whoever is at fault.
    """
    with faults_told(reader):
        pieces = list(reader.create().read(item))
    if not pieces:
        raise UnreadableError("no pieces in it")
    return pieces


@contextlib.contextmanager
def faults_told(reader: Component) -> Iterator[None]:
    """Turn whatever goes wrong while a reader reads a file into one line that says why.

    Raises:
        UnreadableError: in place of any error; in strict mode a reader's own faults stay.
    """
    try:
        yield
    except UserError as error:  # also a library that is not installed
        raise UnreadableError(error.lines[0]) from error
    except OSError as error:
        raise UnreadableError(error.strerror or str(error)) from error
    # A fault of one plugin's reader must not lose what the others read.
    except Exception as error:
        if is_strict():
            raise
        whose = f"reader {reader.name!r} of {reader.entry.origin}"
        raise UnreadableError(f"{whose} failed: {type(error).__name__}: {error}") from error


def shown_name(source: Source, item: Item) -> str:
    """Return a file's name as the user would write it; in a built-in corpus, `SCHEME:NAME`."""
    if source.scheme is None:
        return str(item.path)
    return f"{source.scheme}:{item.id.removeprefix(f'{source.scheme}:')}"
