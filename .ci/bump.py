"""Gives every distribution of this repository one version, wherever it is written.

python .ci/bump.py 0.2.0           writes it, and dates what is unreleased in the changelog
python .ci/bump.py --check 0.2.0   fails where something else stands; changes nothing
"""

from __future__ import annotations

import argparse
import datetime
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENT = r"(\"musengine(?:-[a-z0-9]+)?(?:\[[a-z0-9,]+\])?)[<>=~!][^\";]*"
"""A requirement of one of our distributions, up to its versions and with them."""


def main() -> int:
    """Bump or check, as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("version", help="such as 0.2.0")
    parser.add_argument("--check", action="store_true", help="only say where another one stands")
    arguments = parser.parse_args()
    if re.fullmatch(r"\d+\.\d+\.\d+", arguments.version) is None:
        parser.error(f"{arguments.version!r} is no version such as 0.2.0")
    changed = changes(ROOT, arguments.version)
    changelog = ROOT / "CHANGELOG.md"
    released = release(changelog.read_text("utf-8"), arguments.version, datetime.date.today())
    if released is not None:
        changed[changelog] = released
    for path, text in changed.items():
        print(path.relative_to(ROOT))
        if not arguments.check:
            path.write_text(text, encoding="utf-8", newline="\n")
    return 1 if arguments.check and changed else 0


def changes(root: Path, version: str) -> dict[Path, str]:
    """Return the files that another version stands in, each with the text it should have."""
    wanted = {}
    for path, pattern, replacement in _places(root, version):
        text = wanted.get(path, path.read_text("utf-8"))
        wanted[path] = re.sub(pattern, replacement, text, flags=re.MULTILINE)
    return {path: text for path, text in wanted.items() if text != path.read_text("utf-8")}


def _places(root: Path, version: str) -> Iterator[tuple[Path, str, str]]:
    plugins = sorted(root.glob("plugins/*/pyproject.toml"))
    for path in (root / "pyproject.toml", *plugins):
        yield path, r'^version = ".*"$', f'version = "{version}"'
        yield path, REQUIREMENT, rf"\g<1>{compatible(version)}"
    for path in (root / "engine/musengine/__init__.py", *root.glob("plugins/*/*/__init__.py")):
        yield path, r'^__version__ = ".*"$', f'__version__ = "{version}"'
    yield root / "CITATION.cff", r"^version: .*$", f"version: {version}"
    yield root / "docs/how-to/write-a-plugin.md", REQUIREMENT, rf"\g<1>{compatible(version)}"
    listed = r"(: musengine(?:-[a-z0-9]+)?) \S+  \[ok\]"
    yield root / "docs/tutorial/first-music.md", listed, rf"\g<1> {version}  [ok]"


def compatible(version: str) -> str:
    """Return the versions that may break nothing: those of one minor version before 1.0."""
    major, minor = map(int, version.split(".")[:2])
    return (
        f">={major}.{minor},<{major}.{minor + 1}"
        if major == 0
        else f">={major}.{minor},<{major + 1}"
    )


def release(changelog: str, version: str, day: datetime.date) -> str | None:
    """Return the changelog with what is unreleased under the version; None where it has one."""
    if f"\n## [{version}]" in changelog:
        return None
    heading = "## [Unreleased]\n"
    return changelog.replace(heading, f"{heading}\n## [{version}] - {day.isoformat()}\n", 1)


if __name__ == "__main__":
    sys.exit(main())
