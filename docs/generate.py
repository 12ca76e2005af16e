"""Write what the code says of itself into the pages of the documentation, between two comments.

    python docs/generate.py            writes the pages anew
    python docs/generate.py --check    names the pages that are out of date, and fails if one is

A page asks for a passage by a comment, and the passage follows it:

    <!-- generated: config corpus -->
    ...
    <!-- end -->

`config TABLE` gives the keys of one of the core's tables; `components KIND` every component of a
kind that is installed; `class NAME` a class of `musengine.api`; `api PLACE ...` everything that
`musengine.api` takes from these modules or packages of the core; `testing` what `musengine.testing`
and its modules offer; `faults at load` and `faults at run time` what is said of the faults that
tests plant in a plugin; `results NAME [KEY]` what a benchmark measured; `system NAME` where the
options of an older program went, a row for each of its tests in tests/integration/systems;
`hostile GROUP` what was tried with files from elsewhere.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS))

from _ext import classes, faults, hostile, results, settings, systems  # noqa: E402

PASSAGE = re.compile(
    r"^<!-- generated: (?P<kind>\w+)(?: (?P<what>[^\n]*?))? -->\n(?P<text>.*?)^<!-- end -->$",
    re.DOTALL | re.MULTILINE,
)
HEADING = re.compile(r"^(#+) ", re.MULTILINE)
KINDS: dict[str, Callable[[str, int], str]] = {
    "api": classes.api,
    "class": classes.one_class,
    "components": settings.components,
    "config": settings.config,
    "faults": faults.faults,
    "hostile": hostile.hostile,
    "results": results.results,
    "system": systems.system,
    "testing": classes.testing,
}


def generated(page: str) -> str:
    """Return a page's text with each of its passages made anew.

    Raises:
        ValueError: a comment asks for what there is not, or none ends it.
    """
    wanted = page.count("<!-- generated:")
    if len(PASSAGE.findall(page)) != wanted or page.count("<!-- end -->") != wanted:
        raise ValueError("a passage is not ended by `<!-- end -->`, or one is within another")
    return PASSAGE.sub(_passage, page)


def _passage(match: re.Match[str]) -> str:
    kind, what = match["kind"], match["what"] or ""
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is none of {', '.join(KINDS)}")
    above = HEADING.findall(match.string[: match.start()])
    level = len(above[-1]) + 1 if above else 1
    head = match[0].partition("\n")[0]
    return f"{head}\n\n{KINDS[kind](what, level).strip()}\n\n<!-- end -->"


def pages() -> Iterator[Path]:
    """Yield the pages of the documentation."""
    yield from (path for path in sorted(DOCS.rglob("*.md")) if "_build" not in path.parts)


def main(arguments: list[str]) -> int:
    """Write the pages, or check them; returns the exit status."""
    outdated = []
    for path in pages():
        before = path.read_text(encoding="utf-8")
        try:
            after = generated(before)
        except ValueError as error:
            raise SystemExit(f"{path}: {error}") from error
        if after != before:
            outdated.append(path.relative_to(DOCS).as_posix())
            if "--check" not in arguments:
                path.write_text(after, encoding="utf-8")
    if "--check" not in arguments:
        print(f"written anew: {', '.join(outdated) or 'none, all were up to date'}")
        return 0
    for page in outdated:
        print(f"docs/{page} is out of date; run `python docs/generate.py`", file=sys.stderr)
    return 1 if outdated else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
