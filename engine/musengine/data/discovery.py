"""Discovery: which files a source holds and which reader reads each; nothing is read here."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musengine.config.toml import ESCAPES
from musengine.data.filters import check_folders, filter_items, rules_of
from musengine.errors import UserError, did_you_mean
from musengine.pipeline.values import Source
from musengine.plugins.configs import Content
from musengine.plugins.declarations import ReaderDeclaration
from musengine.plugins.registry import Component, Registry, RegistryEntry

if TYPE_CHECKING:
    from musengine.data.manifest import Skipped
    from musengine.interfaces.reader import Item, Reader
    from musengine.pipeline.resolve import Pipeline
    from musengine.pipeline.sections import CorpusConfig


@dataclass
class DiscoveryNotes:
    """What is found beside the files to read.

    Attributes:
        notices: terms that come with the music.
        ignored: files that no reader reads, counted by suffix.
        unreadable: folders whose files cannot be listed, and why.
        later: ids of files that are no part of the run, such as those that came later.
    """

    notices: list[str] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    later: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)


def find_items(
    source: Source,
    registry: Registry,
    chosen: Component | None,
    discovery: DiscoveryNotes,
    accepts: Sequence[Content] = ("score", "text"),
) -> Iterator[tuple[Component, Item]]:
    """Yield each file of a source with the reader that reads it.

    Args:
        source: a file, a folder or a corpus.
        registry: where readers are found.
        chosen: the reader of all files, else each file's suffix decides.
        discovery: notices and ignored files are added to it.
        accepts: the content that is asked for; readers of anything else are not used.

    Raises:
        UserError: a path does not exist, a file has no reader, a corpus is unknown.
    """
    if source.scheme is not None:
        component = _by_scheme(source.scheme, registry, accepts)
        instance: Reader[Any] = component.create()
        items = instance.expand(source.name)
        if notice := instance.notice(items):
            discovery.notices.append(notice)
        yield from ((component, item) for item in items)
        return
    path = Path(source.text)
    if not _exists(path):
        raise _missing(path)
    if path.is_dir():
        yield from _folder_items(path, registry, chosen, discovery, accepts)
    else:
        from musengine.interfaces.reader import Item

        reader = chosen or _by_suffix(path, registry, accepts)
        if reader is None:
            known = ", ".join(sorted(_suffixes(registry, accepts)))
            raise UserError(
                f"no reader for {path}: known endings are {known}{_hint(registry)}",
                code="no-reader",
            )
        yield reader, Item(path, path.name)


def music_source(path: Path, registry: Registry) -> Source | None:
    """Return the music that a path stands for: a folder, a file a reader reads, a corpus.

    None for anything else, such as a pipeline file, or a path that leads nowhere.
    """
    try:
        if path.is_dir() or (path.is_file() and _by_suffix(path, registry, ("score",))):
            return Source(str(Path.cwd() / path))
    except (OSError, ValueError):
        return None
    source = Source(str(path))
    return source if source.scheme is not None and not _exists(path) else None


def _missing(path: Path) -> UserError:
    try:
        near = did_you_mean(path.name, [entry.name for entry in path.parent.iterdir()])
    except (OSError, ValueError):
        near = ""
    # What "C:\new" in a pipeline stands for has a line break.
    hint = f"; {ESCAPES}" if not str(path).isprintable() else ""
    return UserError(f"{path} does not exist{near}{hint}", code="path-missing")


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # too long a name, a folder that may not be entered
        return False


def _folder_items(
    folder: Path,
    registry: Registry,
    chosen: Component | None,
    discovery: DiscoveryNotes,
    accepts: Sequence[Content],
) -> Iterator[tuple[Component, Item]]:
    from musengine.interfaces.reader import Item

    readers: dict[str, Component | None] = {}
    for path, inside in _walk(folder, discovery):
        ending = path.suffix.lower()
        if ending not in readers:
            readers[ending] = _by_suffix(path, registry, accepts)
        if (known := readers[ending]) is None:
            discovery.ignored[ending or path.name] += 1
            continue
        style, _, _ = inside.rpartition("/")
        yield chosen or known, Item(path, inside, style or folder.name)


def _walk(folder: Path, discovery: DiscoveryNotes) -> Iterator[tuple[Path, str]]:
    """Yield the files in a folder and those within it, hidden ones left out, in order.

    Each comes with its path in the folder, in POSIX form on Windows too: ids are part of split
    files, which move between machines.

    Raises:
        UserError: the folder cannot be read; of those within it that cannot a note is taken.
    """

    def entries(inside: str) -> Iterator[tuple[Path, str]]:
        within = folder / inside
        try:
            with os.scandir(within) as found:
                # As text alone, the names of folders with a slash: one folder may hold all files.
                own = [each.name + mark for each in found if (mark := _mark(each)) is not None]
        except OSError as error:
            reason = error.strerror or str(error)
            if not inside:
                raise UserError(f"cannot read {folder}: {reason}", code="cannot-read") from error
            discovery.unreadable[str(within)] = reason
            return
        # Sorted, since the order of files in a folder differs between systems, and the order of
        # pieces decides on what follows from a seed.
        own.sort(key=lambda name: os.path.normcase(name.rstrip("/")))
        for name in own:
            if name.startswith("."):
                continue
            if name.endswith("/"):
                yield from entries(f"{inside}{name}")
            else:
                yield within / name, f"{inside}{name}"

    return entries("")


def _mark(entry: os.DirEntry[str]) -> str | None:
    """Return a slash for a folder to go into, nothing for a file; None for a link to a folder.

    Such a link may lead round in circles.
    """
    try:
        if not entry.is_dir():
            return ""
        return None if entry.is_symlink() else "/"
    except OSError:
        return ""


def _readers(
    registry: Registry, accepts: Sequence[Content] = ("score", "text")
) -> list[tuple[RegistryEntry, ReaderDeclaration]]:
    return [
        (entry, entry.declaration)
        for entry in registry.of_kind("reader")
        if isinstance(entry.declaration, ReaderDeclaration)
        and set(entry.declaration.content) & set(accepts)
    ]


def _suffixes(registry: Registry, accepts: Sequence[Content]) -> set[str]:
    readers = _readers(registry, accepts)
    return {suffix for _, declaration in readers for suffix in declaration.suffixes}


def _by_suffix(path: Path, registry: Registry, accepts: Sequence[Content]) -> Component | None:
    matching = [
        # One whose library is there reads before one that would only say what it lacks.
        (not entry.missing_requirements(), declaration.priority, entry)
        for entry, declaration in _readers(registry, accepts)
        if path.suffix.lower() in declaration.suffixes
    ]
    if not matching:
        return None
    # Without the entry, which cannot be compared; `max` takes the first of equals.
    *_, entry = max(matching, key=lambda match: match[:2])
    return Component(entry, entry.declaration.config())


def _by_scheme(
    scheme: str, registry: Registry, accepts: Sequence[Content] = ("score", "text")
) -> Component:
    readers = _readers(registry, accepts)
    matching = [pair for pair in readers if pair[1].scheme == scheme]
    if not matching:
        near = did_you_mean(scheme, [known.scheme for _, known in readers if known.scheme])
        raise UserError(
            f"no reader for the corpus {scheme!r}{near or _hint(registry)}", code="no-reader"
        )
    entry, _ = max(matching, key=lambda pair: pair[1].priority)
    return Component(entry, entry.declaration.config())


def _hint(registry: Registry) -> str:
    """Return where a missing reader may be: in a plugin that did not load, or in none that is."""
    if registry.absent:
        return "; not loaded: " + "; ".join(registry.absent)
    return "; another plugin may read it, `musengine plugins` lists those installed"


def check_sources(sources: Iterable[Source], registry: Registry) -> list[UserError]:
    """Return what is wrong with sources as far as can be seen without reading them."""
    problems: list[UserError] = []
    for source in sources:
        if source.scheme is None:
            if not _exists(Path(source.text)):
                problems.append(_missing(Path(source.text)))
            continue
        try:
            missing = _by_scheme(source.scheme, registry).entry.missing_requirements()
            problems.extend(UserError(message, code="library-missing") for message in missing)
        except UserError as error:
            problems.append(error)
    return problems


def list_items(
    sources: Iterable[Source],
    registry: Registry,
    reader: Component | None,
    accepts: Sequence[Content],
    discovery: DiscoveryNotes,
) -> Iterator[tuple[Component, Item]]:
    """Yield the files of some sources with their readers; `discovery` notes the rest."""
    for source in sources:
        yield from find_items(source, registry, reader, discovery, accepts)


def items_of(
    pipeline: Pipeline, registry: Registry, discovery: DiscoveryNotes
) -> Iterable[tuple[Component, Item]]:
    """Return the files of the corpus that its settings do not exclude, with their readers."""
    config = pipeline.corpus
    items = list_items(config.path, registry, pipeline.reader, pipeline.accepts(), discovery)
    if not (config.styles or config.exclude or config.split == "folders"):
        return items  # one after another: as objects all of them take a kilobyte each
    listed = list(items)
    names = [(item.style, item.id) for _, item in listed]
    listed = filter_items(listed, names, config.styles, config.exclude)
    if config.split == "folders":
        check_folders(item for _, item in listed)
    return listed


def check_choices(pipeline: Pipeline, registry: Registry) -> None:
    """Look, without reading music, whether what the corpus's settings name is there.

    Raises:
        UserError: a style or a folder of a part that no file is in, a list that is none, or no
            file at all that could be music.
    """
    config, discovery = pipeline.corpus, DiscoveryNotes()
    rules_of(config)
    listed = config.styles or config.exclude or config.split == "folders" or _only_paths(config)
    if listed and not any(True for _ in items_of(pipeline, registry, discovery)):
        raise UserError(nothing_found(config, (), discovery.ignored), code="no-music")


def _only_paths(config: CorpusConfig) -> bool:
    """Return whether listing the files is quick: those of a library may take an import."""
    return all(source.scheme is None for source in config.path)


def nothing_found(config: CorpusConfig, skipped: Sequence[Skipped], ignored: Counter[str]) -> str:
    """Return a line that says that there is no music, and what there is instead."""
    where = ", ".join(source.text for source in config.path)
    by_reason: dict[str, list[str]] = {}
    for entry in skipped:
        by_reason.setdefault(entry.reason, []).append(entry.path)
    reasons = [
        f"{paths[0]}{f' and {len(paths) - 1:,} more' if len(paths) > 1 else ''}: {reason}"
        for reason, paths in by_reason.items()
    ]
    if len(reasons) > 20:
        reasons = [*reasons[:20], f"and {len(reasons) - 20} more"]
    if not skipped:
        others = ", ".join(f"{count} {suffix}" for suffix, count in ignored.most_common(5))
        reasons = [f"no music files found{f' (there are {others})' if others else ''}"]
    return f"no usable music in {where}: {'; '.join(reasons)}"
