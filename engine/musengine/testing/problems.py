"""A problem with a code is expected."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from musengine.errors import UserError


@contextmanager
def problem(code: str, kind: type[UserError] = UserError) -> Iterator[None]:
    """Expect that what runs inside ends in a problem, whatever its wording.

    Args:
        code: the problem's, as in the reference "Problems".
        kind: the class of the exception.

    Raises:
        AssertionError: nothing is raised, or a problem with another code.
    """
    try:
        yield
    except kind as error:
        codes = {each.code for each in error.problems}
        if code not in codes:
            raise AssertionError(f"expected the problem {code!r}, got {error}") from error
        return
    raise AssertionError(f"expected the problem {code!r}, and there is none")
