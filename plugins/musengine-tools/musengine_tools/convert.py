"""Files of music to files of another kind, side by side: the work of `musengine convert`."""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from os.path import normcase
from pathlib import Path
from typing import Any

from musengine.api import (
    SILENT,
    Component,
    Content,
    DiscoveryNotes,
    Failure,
    Item,
    MusicFile,
    Patterns,
    ProgressReporter,
    Registry,
    Score,
    Skipped,
    Source,
    Text,
    Writer,
    find_items,
    open_file,
    process_files,
    shown_name,
    whole_file,
)
from musengine.errors import MachineError, UnreadableError, UserError
from musengine_tools.edits import Adjustments
from musengine_tools.formats import SourceFormat, TargetFormat, from_score, to_score


@dataclass(frozen=True, kw_only=True)
class ConversionPlan:
    """What is done with every file.

    Attributes:
        origin: what it is read as.
        target: what it becomes.
        adjustments: what is changed on the way.
        overwrite: replace files that are there.
        styles: the folders to take, or patterns such as `Irish/*`; empty for all.
    """

    origin: SourceFormat
    target: TargetFormat
    adjustments: Adjustments
    overwrite: bool = False
    styles: tuple[str, ...] = ()


@dataclass(frozen=True)
class ConversionTask(MusicFile):
    """One file, and where its music goes.

    Attributes:
        out: the file for its music; where it has several pieces, they are numbered.
        taken: numbers behind the name of `out` that are in the names of other files to write.
    """

    out: Path
    taken: frozenset[str] = frozenset()


@dataclass
class ConversionResult:
    """What came of one file or of all.

    Attributes:
        files: what was written.
        notes: in them; characters do not count.
        skipped: what was not written, and why.
        dropped: what was left out of what was written, counted by a word.
        keep: for what was left out, the option that would keep it.
        warnings: how many warnings the readers gave.
        notices: terms that come with the music.
    """

    files: list[Path] = field(default_factory=list)
    notes: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    keep: dict[str, str] = field(default_factory=dict)
    warnings: int = 0
    notices: list[str] = field(default_factory=list)

    def add(self, other: ConversionResult) -> None:
        """Add another's figures to these."""
        self.files += other.files
        self.notes += other.notes
        self.skipped += other.skipped
        self.dropped += other.dropped
        self.keep |= other.keep
        self.warnings += other.warnings
        self.notices += other.notices


def convert(
    source: Source,
    out: Path,
    plan: ConversionPlan,
    registry: Registry,
    *,
    jobs: int = 0,
    timeout: float = 300.0,
    reporter: ProgressReporter = SILENT,
) -> ConversionResult:
    """Convert a file, or every file of a folder or a built-in corpus into a folder like it.

    A file with several pieces becomes several, numbered. A file that cannot be read, or whose
    reader crashes or takes too long, is skipped. Every file appears whole or not at all.

    Args:
        source: the music.
        out: the file to write, or the folder to write into where the source has many files.
        plan: what is done with each.
        registry: where readers are found.
        jobs: processes, 0 for one on each core.
        timeout: seconds that one file may take.
        reporter: receives the progress.

    Raises:
        UserError: there is no such source, or no music in it.
    """
    outcome, found = ConversionResult(), DiscoveryNotes()
    tasks = [
        ConversionTask(reader, item, shown, place)
        for reader, item, place, shown in _places(source, out, plan, registry, found)
    ]
    outcome.notices += found.notices
    if not tasks:
        raise UserError(_nothing(source, plan, found), code="no-music")
    distinct = _with_taken(list(_without_clashes(tasks, outcome)))
    # Folders are made with the first file in them; of a folder whose files all fail none shall
    # stay.
    with _no_empty_folders({folder for task in distinct for folder in task.out.parents}):
        results = process_files(
            partial(convert_one, plan),
            distinct,
            title="converting",
            jobs=jobs,
            timeout=timeout,
            reporter=reporter,
        )
        for task, result in results:
            if isinstance(result, Failure):
                outcome.skipped.append(Skipped(task.shown, result.reason))
            else:
                outcome.add(result)
    return outcome


@contextlib.contextmanager
def _no_empty_folders(folders: Iterable[Path]) -> Iterator[None]:
    """Remove of some folders those again that come to be meanwhile and stay empty."""
    absent = [folder for folder in folders if not folder.exists()]
    try:
        yield
    finally:
        # The innermost first: a folder goes only once it is empty.
        for folder in sorted(absent, key=lambda folder: -len(folder.parts)):
            with contextlib.suppress(OSError):  # it is not there, or something is in it
                folder.rmdir()


def is_single(source: Source) -> bool:
    """Whether a source is one file."""
    return source.scheme is None and not Path(source.text).is_dir()


def _places(
    source: Source, out: Path, plan: ConversionPlan, registry: Registry, found: DiscoveryNotes
) -> Iterator[tuple[Component, Item, Path, str]]:
    """Yield each file, where its music goes, and its name as the user would write it."""
    styles = Patterns(plan.styles)
    for reader, item in _items(source, plan, registry, found):
        if is_single(source):
            yield reader, item, out, shown_name(source, item)
            continue
        if plan.styles and not styles.matching(item.style):
            continue
        inside = item.id.removeprefix(f"{source.scheme}:").removesuffix(item.path.suffix)
        yield reader, item, out / (inside + plan.target.suffix), shown_name(source, item)


def _items(
    source: Source, plan: ConversionPlan, registry: Registry, found: DiscoveryNotes
) -> list[tuple[Component, Item]]:
    """Return the files to read: scores where the target takes them, texts where there are none."""
    wanted: list[Content] = ["score", "text"] if plan.target.takes_scores else ["text"]
    if plan.origin.notation is not None:
        wanted = ["text"]
    problem: UserError | None = None
    for contents in (*((content,) for content in wanted), tuple(wanted)):
        found.ignored.clear()
        try:
            if items := list(find_items(source, registry, plan.origin.reader, found, contents)):
                return items
        except UserError as error:
            problem = error  # at last that of all contents, which names the endings of all
    if not plan.target.takes_scores and plan.origin.reader is None:
        scores = find_items(source, registry, None, DiscoveryNotes(), ("score",))
        if next(scores, None) is not None:
            notations = ", ".join(plan.origin.known) or "none is installed"
            raise UserError(
                f"{source.text} holds scores and no texts; "
                f"--to with a text notation makes texts of them ({notations})",
                code="score-not-text",
            )
    if problem is not None:
        raise problem
    return []


def _without_clashes(
    tasks: Sequence[ConversionTask], outcome: ConversionResult
) -> Iterator[ConversionTask]:
    """Yield the tasks but those whose file another one writes already."""
    first: dict[str, ConversionTask] = {}
    for task in tasks:
        # Where names differ in capitals alone, Windows and macOS have one file.
        other = first.setdefault(normcase(task.out), task)
        if other is task:
            yield task
        else:
            reason = f"it would be {task.out}, as {other.shown} is"
            outcome.skipped.append(Skipped(task.shown, reason))


def _with_taken(tasks: Sequence[ConversionTask]) -> list[ConversionTask]:
    """Return the tasks with the numbers that their pieces must not have.

    The pieces of `a.abc` would be `a-1.mid` and `a-2.mid`, which is what `a-1.abc` becomes.
    """
    taken: dict[str, set[str]] = {}
    for task in tasks:
        stem, dash, number = task.out.stem.rpartition("-")
        if dash and number.isdecimal():
            taken.setdefault(normcase(task.out.with_stem(stem)), set()).add(number)
    return [replace(task, taken=frozenset(taken.get(normcase(task.out), ()))) for task in tasks]


def _nothing(source: Source, plan: ConversionPlan, found: DiscoveryNotes) -> str:
    styles = f" of style {' or '.join(plan.styles)}" if plan.styles else ""
    others = ", ".join(f"{count} {suffix}" for suffix, count in found.ignored.most_common(5))
    return f"no music{styles} in {source.text}{f' (there are {others})' if others else ''}"


def convert_one(plan: ConversionPlan, task: ConversionTask) -> ConversionResult:
    """Convert one file; what goes wrong with it is said in the outcome."""
    outcome = ConversionResult()
    try:
        pieces = open_file(task.reader, task.item)
    except UnreadableError as error:
        outcome.skipped.append(Skipped(task.shown, error.lines[0]))
        return outcome
    writer: Writer[Any] = plan.target.writer.create()
    numbers = _numbers(len(pieces), task.taken)
    for number, piece in zip(numbers, pieces, strict=True):
        outcome.warnings += len(piece.warnings)
        out = task.out.with_name(f"{task.out.stem}-{number}{task.out.suffix}")
        try:
            _write(plan, piece.content, writer, task.out if len(pieces) == 1 else out, outcome)
        except MachineError:
            raise
        except UserError as error:
            several = f" (piece {int(number)})" if len(pieces) > 1 else ""
            outcome.skipped.append(Skipped(task.shown + several, error.lines[0]))
    return outcome


def _write(
    plan: ConversionPlan,
    content: Score | Text,
    writer: Writer[Any],
    out: Path,
    outcome: ConversionResult,
) -> None:
    """Write one piece.

    Raises:
        UserError: the file is there, the piece cannot be converted, or the disk is full.
    """
    if out.exists() and not plan.overwrite:
        raise UserError(f"{out} is there already; --overwrite replaces it", code="file-exists")
    dropped: Counter[str] = Counter()
    notes = 0
    if isinstance(content, Score) or plan.adjustments.any or not plan.target.takes_texts:
        if not plan.target.takes_scores:
            name = plan.target.writer.name
            raise UnreadableError(
                f"the writer {name!r} writes no scores; name a text notation", code="score-not-text"
            )
        before = to_score(content, plan.origin)
        score, dropped = plan.adjustments.apply(before)
        notes = len(score)
        content, left_out = from_score(score, plan.target)
        left_out = {**plan.adjustments.left_out(before), **left_out}
        dropped |= Counter({what: each.count for what, each in left_out.items()})
        outcome.keep.update({what: each.keep for what, each in left_out.items() if each.keep})
    with whole_file(out, "OUT") as aside:
        writer.write(content, aside)
    outcome.files.append(out)
    outcome.notes += notes
    outcome.dropped += dropped


def _numbers(count: int, taken: frozenset[str]) -> list[str]:
    """Return numbers from 1, all of them with the fewest digits with which none is taken."""
    for digits in itertools.count(len(str(count))):
        numbers = [f"{number:0{digits}}" for number in range(1, count + 1)]
        if taken.isdisjoint(numbers):
            break
    return numbers
