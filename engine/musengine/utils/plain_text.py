"""A text stream that shows what it is given and does not do it."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

from musengine.errors import MachineError, plain_lines


class PlainText:
    """A text stream that writes out control characters, and what its encoding does not hold.

    Names of files, values of a pipeline and a plugin's words may have escape sequences, with which
    a terminal would do as they say.

    Args:
        stream: where the text goes.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text, its lines kept.

        Raises:
            MachineError: the system refuses it, as where a disk is full.
        """
        encoding = self._stream.encoding or "utf-8"
        plain = plain_lines(text)
        with _refusal_told():
            # There and back: what the terminal's encoding lacks is then written out instead of an
            # error.
            self._stream.write(plain.encode(encoding, "backslashreplace").decode(encoding))
        return len(text)

    def flush(self) -> None:
        """Write what is held back.

        Raises:
            MachineError: the system refuses it.
        """
        with _refusal_told():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def _refusal_told() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        let_go(sys.stdout)
        raise MachineError(
            f"cannot write to standard output: {error.strerror or error}", code="cannot-write"
        ) from error


def let_go(stream: Any) -> None:
    """Have what a stream still holds go nowhere, lest the end of the process fail over it."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        # The descriptor itself is replaced: Python flushes its buffer once more at the end of the
        # process.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
