"""The version of what plugins are written against, and whether a plugin is made for it."""

from __future__ import annotations

import importlib.util
import re
import tokenize
from collections.abc import Callable
from operator import eq, ge, gt, le, lt

API_VERSION = "1.0"
"""The version of the contract with plugins: the hooks, what they return, and `musengine.api`.

The first number rises where a plugin made for the version before must be changed, the second where
something is added. It is not the version of a distribution, which may rise without either.
"""

_ATTRIBUTE = "musengine_api"
"""What a plugin's module calls the versions it is made for."""

_COMPARISONS: dict[str, Callable[[tuple[int, int], tuple[int, int]], bool]] = {
    ">=": ge, "<=": le, "==": eq, ">": gt, "<": lt,
}  # fmt: skip
_BOUND = re.compile(r"\s*(>=|<=|==|>|<)\s*(\d+)(?:\.(\d+))?\s*")
_ASSIGNED = re.compile(
    rf"^{_ATTRIBUTE}(?:\s*:[^=\n]+)?\s*=\s*(?:(?P<quote>[\"'])(?P<range>[^\"'\n]*)(?P=quote))?",
    re.MULTILINE,
)


def declared_range(module: str) -> str | None:
    """Return the versions that a plugin's module says it is made for, None where it says none.

    Its source is read and not run: what is made for another version may well fail to import.

    Raises:
        Exception: whatever importing the module's parent packages raises.
    """
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    # In the encoding that the source itself declares.
    with tokenize.open(spec.origin) as file:
        found = _ASSIGNED.search(file.read())
    return None if found is None else found["range"] or ""


def unsuitable(wanted: str, distribution: str, version: str = API_VERSION) -> str:
    """Return why a plugin cannot be used with a version, empty where it can.

    Args:
        wanted: the versions it is made for, such as `>=1.1,<2`.
        distribution: it comes from, for the advice.
        version: of what it is to be used with.
    """
    bounds = [_BOUND.fullmatch(bound) for bound in wanted.split(",")]
    # As numbers: by text 1.10 would be below 1.9.
    here = _numbers(*version.split("."))
    for bound in bounds:
        if bound is None:
            return f'{_ATTRIBUTE} must be a text such as ">=1,<2", got {wanted!r}'
        asked = _numbers(bound[2], bound[3] or "0")
        if not _COMPARISONS[bound[1]](here, asked):
            what = "musengine" if asked > here or bound[1] == ">" else distribution
            return (
                f"it is made for version {wanted} of musengine's plugin API, and this is "
                f"{version}; pip install --upgrade {what}"
            )
    return ""


def _numbers(major: str, minor: str) -> tuple[int, int]:
    return int(major), int(minor)
