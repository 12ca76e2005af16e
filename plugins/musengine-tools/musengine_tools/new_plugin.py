"""A new plugin's distribution: one small component of a kind, tested, to start from."""

from __future__ import annotations

import argparse
import importlib.resources
import logging
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from musengine.api import CommandContext, ExitStatus
from musengine.errors import UserError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

logger = logging.getLogger(__name__)

SUMMARIES = {
    "model": "Each note from the last few steps, with one linear layer",
    "encoder": "A grid of twelve pitch classes, all octaves in one",
    "loss": "The likelihood of steps, those that are known weighing less",
    "sampler": "Leaves out tokens far less likely than the likeliest",
    "metric": "The share of time in which nothing sounds",
    "reader": "Notes as rows of comma-separated values",
    "writer": "Notes as rows of comma-separated values",
    "callback": "Ends the training when the loss stays below a bound",
    "command": "Counts the notes of music files",
}
"""What the component of each kind does; it is there to be replaced."""
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_PIPELINE = "    musengine run pipeline.toml\n"


def add_new_plugin_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `musengine new-plugin`."""
    parser.add_argument("name", metavar="NAME", help="of the plugin, such as my-model")
    parser.add_argument("--kind", choices=SUMMARIES, default="model", help="what it offers (model)")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="the folder it is written to (musengine-NAME)"
    )


def new_plugin(parsed: argparse.Namespace, context: CommandContext) -> int:
    """Carry out `musengine new-plugin`."""
    if not _NAME.fullmatch(parsed.name):
        message = f"the name {parsed.name!r} must be of small letters, digits and hyphens"
        raise UserError(message, code="plugin-name")
    name = parsed.name.removeprefix("musengine-")
    out = Path(f"musengine-{name}") if parsed.out is None else parsed.out
    if out.exists():
        raise UserError(f"{out} exists already; name another folder with --out", code="file-exists")
    _write(name, parsed.kind, out)
    logger.info(f"wrote {out}; next: pip install -e {out} pytest")
    logger.info(f"then: pytest {out}, and musengine check-plugin {name}")
    return ExitStatus.DONE


def _write(name: str, kind: str, out: Path) -> None:
    """Write the distribution, whole or not at all."""
    package = f"musengine_{name.replace('-', '_')}"
    words = {
        "name": name,
        "package": package,
        "class": "".join(word.capitalize() for word in name.split("-")),
        "module": kind,
        "summary": SUMMARIES[kind],
        "use": "" if kind == "command" else _PIPELINE,
    }
    templates = importlib.resources.files("musengine_tools") / "scaffold"
    places = {
        "pyproject.toml": templates / "pyproject.toml.in",
        "README.md": templates / "README.md.in",
        ".gitignore": templates / "gitignore.in",
        ".github/workflows/test.yml": templates / "workflow.yml.in",
        "tests/test_contract.py": templates / "test_contract.py.in",
        f"tests/test_{kind}.py": templates / kind / "test.py.in",
        f"{package}/plugin.py": templates / kind / "plugin.py.in",
        f"{package}/{kind}.py": templates / kind / f"{kind}.py.in",
        "pipeline.toml": templates / kind / "pipeline.toml.in",
    }
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        # Beside the target, so that moving it is one rename.
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as aside:
            whole = Path(aside) / out.name
            for place, template in places.items():
                if template.is_file():
                    _fill(template, words, whole / place)
            (whole / package / "__init__.py").write_text(f'"""{SUMMARIES[kind]}."""\n', "utf-8")
            (whole / package / "py.typed").touch()
            shutil.move(whole, out)
    except OSError as error:
        raise UserError(f"{out}: {error.strerror or error}", code="cannot-write") from error


def _fill(template: Traversable, words: dict[str, str], path: Path) -> None:
    text = template.read_text(encoding="utf-8")
    for word, value in words.items():
        text = text.replace(f"{{{{{word}}}}}", value)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
