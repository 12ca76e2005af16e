"""Starter pipelines that installed models bring: found, pointed at one's own music, written."""

from __future__ import annotations

import importlib.resources
import logging
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import tomli
import tomli_w

from musengine.data.discovery import DiscoveryNotes, check_sources, find_items
from musengine.errors import UserError, did_you_mean
from musengine.pipeline.resolve import load_pipeline
from musengine.pipeline.values import Source
from musengine.plugins.configs import Content
from musengine.plugins.declarations import ModelDeclaration
from musengine.plugins.registry import Distribution, Registry
from musengine.utils.format import counted

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Template:
    """A commented pipeline file inside a plugin's package.

    Attributes:
        name: what it is asked for by.
        origin: the distribution it comes from.
        resource: where it is, `"package:folder/file.toml"`.
    """

    name: str
    origin: Distribution
    resource: str

    def text(self) -> str:
        """Read the file.

        Raises:
            UserError: it is not there, or no pipeline; names the distribution and the reason.
        """
        package, _, path = self.resource.partition(":")
        try:
            file = importlib.resources.files(package).joinpath(*path.split("/"))
            text = file.read_text(encoding="utf-8")
            tomli.loads(text)
        except Exception as error:  # importing the package may raise anything
            raise UserError(
                f"template {self.name!r} of {self.origin} cannot be read from "
                f"{self.resource!r}: {type(error).__name__}: {error}; "
                f"update or reinstall {self.origin.distribution}",
                code="template-broken",
            ) from error
        return text

    def title(self) -> str:
        """Return the file's first line, which is a comment that says what it is for."""
        return self.text().partition("\n")[0].lstrip("# ").strip()

    def with_music(self, path: str) -> str:
        """Return the text with another `corpus.path`, everything else as it was.

        Raises:
            UserError: the template has no line `path = "..."` in `[corpus]`.
        """
        original = self.text()
        # Changed line by line, so that its comments stay; whether that was right is seen by parsing
        # both.
        text = "".join(_with_path(original, path))
        tables, wanted = tomli.loads(text), tomli.loads(original)
        wanted.setdefault("corpus", {})["path"] = path
        if tables != wanted:
            raise UserError(
                f"template {self.name!r} of {self.origin} has no line of its own for the music: "
                'expected path = "..." in [corpus]',
                code="template-broken",
            )
        return text


def _with_path(text: str, path: str) -> Iterator[str]:
    """Yield the lines of a pipeline file, in that of `corpus.path` only its value another."""
    value = tomli_w.dumps({"path": path}).removeprefix("path = ").strip()
    table = ""
    for line in text.splitlines(keepends=True):
        if header := re.match(r"\s*\[\[?\s*([^\[\]]+?)\s*\]", line):
            table = header[1]
        match = re.match(r"""(\s*path\s*=\s*)("(?:[^"\\]|\\.)*"|'[^']*')(.*)""", line, re.DOTALL)
        yield f"{match[1]}{value}{match[3]}" if match and table == "corpus" else line


def templates(registry: Registry) -> list[Template]:
    """Return every template: those of models trained by gradient first, each by model and name."""
    models = [
        (entry, entry.declaration)
        for entry in registry.of_kind("model")
        if isinstance(entry.declaration, ModelDeclaration)
    ]
    models.sort(key=lambda pair: pair[1].training != "gradient")
    return [
        Template(name, entry.origin, resource)
        for entry, declaration in models
        for name, resource in sorted(declaration.templates.items())
    ]


def choose(registry: Registry, name: str | None) -> Template:
    """Return the template of that name, or the only one.

    Raises:
        UserError: there is none, or several; says which there are.
    """
    there = templates(registry)
    names = list(dict.fromkeys(template.name for template in there))
    if name is None and len(names) > 1:
        raise UserError(
            f"name a template, or your music with --corpus; there are: {', '.join(names)}",
            code="template-not-named",
        )
    found = there if name is None else [one for one in there if one.name == name]
    if not found:
        message = "no installed model brings a template"
        if names and name is not None:
            message = f"no template {name!r} is installed; there are: {', '.join(names)}"
        if registry.absent:
            message += "; not loaded: " + "; ".join(registry.absent)
        raise UserError(message + did_you_mean(name or "", names), code="unknown-template")
    if len(found) > 1:
        owners = " and ".join(str(template.origin) for template in found)
        raise UserError(
            f"template {name!r} is claimed by {owners}; uninstall one, or choose plugins with "
            "MUSENGINE_PLUGINS",
            code="component-contested",
        )
    return found[0]


def as_lines(registry: Registry) -> list[str]:
    """Return one line for each template: its name, what it is for, whose it is."""
    there = templates(registry)
    width = max((len(template.name) for template in there), default=0)
    return [
        f"{template.name:{width}}  {template.title()} ({template.origin})" for template in there
    ]


def start(registry: Registry, name: str | None, corpus: str | None, out: Path | None) -> None:
    """Write a pipeline file from a template, and say what to do next.

    Args:
        registry: the components.
        name: the template; None for the only one.
        corpus: the user's music, a path or a built-in corpus; None leaves the template's.
        out: the file; None for one called like the template, in the working directory.

    Raises:
        UserError: no such template or music, or the file is there already; nothing is written.
    """
    template = choose(registry, name)
    out = Path(f"{template.name}.toml") if out is None else out
    if corpus is None:
        write_new(out, template.text())
        logger.info(f"wrote {out}, from the template {template.name} of {template.origin}")
        logger.info(f"next: say in {out}, at [corpus] path, where your music is; then run")
    else:
        source = find_music(corpus, registry)
        write_new(out, template.with_music(path_from(corpus, source, out.resolve().parent)))
        logger.info(f"wrote {out}, from the template {template.name} of {template.origin}")
        _report_music(source, registry, _accepted(out, registry))
        logger.info("next:")
    file = f'"{out}"' if " " in str(out) else str(out)
    logger.info(f"  musengine check {file}")
    logger.info(f"  musengine run {file}")


def find_music(corpus: str, registry: Registry) -> Source:
    """Return the music that a person names, relative paths from the working directory.

    Raises:
        UserError: it does not exist, or no reader can be used for it.
    """
    try:
        source = Source.from_toml(corpus, Path.cwd())
    except ValueError as error:
        raise UserError(f"--corpus: {error}", code="invalid-value") from error
    for problem in check_sources([source], registry):
        raise UserError(f"--corpus: {problem}", code=problem.code)
    if source.scheme is None and Path(source.text).is_file():
        # It raises where no reader knows the file's kind.
        list(find_items(source, registry, None, DiscoveryNotes()))
    return source


def _accepted(file: Path, registry: Registry) -> tuple[Content, ...]:
    """Return what the encoder of a pipeline file takes."""
    try:
        return load_pipeline(file, registry).accepts()
    except UserError:  # `musengine check`, to which the next line points, reports it
        return ("score",)


def _report_music(source: Source, registry: Registry, accepts: Sequence[Content]) -> None:
    """Say how many files there are to read, and warn where there are none."""
    if source.scheme is not None:
        return
    found = DiscoveryNotes()
    number = sum(1 for _ in find_items(source, registry, None, found, accepts))
    if number:
        logger.info(f"music: {counted(number, 'file')} in {source.text}")
        return
    known = {
        suffix
        for entry in registry.of_kind("reader")
        if set(accepts) & set(getattr(entry.declaration, "content", ()))
        for suffix in getattr(entry.declaration, "suffixes", ())
    }
    others = ", ".join(ending for ending, _ in found.ignored.most_common(5))
    logger.warning(
        f"{source.text} holds no music that can be read: {f'only {others}' if others else 'empty'}"
        f"; known endings are {', '.join(sorted(known))}"
    )


def path_from(corpus: str, source: Source, folder: Path) -> str:
    """Return a path from the working directory as a pipeline file in a folder names it."""
    if source.scheme is not None or Source.from_toml(corpus, folder) == source:
        return corpus
    try:
        return Path(os.path.relpath(source.text, folder)).as_posix()
    except ValueError:  # on another drive
        return source.text


def write_new(path: Path, text: str) -> None:
    """Write a file that was not there before.

    Raises:
        UserError: it is there, or cannot be written.
    """
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError:
        raise UserError(
            f"cannot write {path}: the music's path is no text", code="path-not-text"
        ) from None
    try:
        # "x": nothing that appeared meanwhile is overwritten.
        with path.open("xb") as file:
            try:
                file.write(data)
            except BaseException:
                path.unlink()
                raise
    except FileExistsError:
        raise UserError(
            f"{path} is there already and stays as it is; name another file with --out",
            code="file-exists",
        ) from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"cannot write {path}: {reason}; name another with --out", code="cannot-write"
        ) from error
