"""Standard output and error for a command: what cannot be shown is written out, never raw."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TextIO, cast

from musengine.utils.plain_text import PlainText, let_go


@contextlib.contextmanager
def plain_output() -> Iterator[None]:
    """Write everything that is printed inside as plain text; a closed stream takes it in silence.

    Raises:
        MachineError: at the end, where the system refuses what was held back.
    """
    with contextlib.ExitStack() as stack:
        # So it is under `pythonw` on Windows, and where a shell has closed them (`>&-`).
        if sys.stdout is None or sys.stderr is None:
            nowhere = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123
            stack.enter_context(contextlib.redirect_stderr(sys.stderr or nowhere))
            stack.enter_context(contextlib.redirect_stdout(sys.stdout or nowhere))
        plain = PlainText(sys.stdout)
        stack.enter_context(contextlib.redirect_stdout(cast("TextIO", plain)))
        try:
            yield
        finally:
            try:
                plain.flush()
            except BrokenPipeError:
                let_go(plain)
