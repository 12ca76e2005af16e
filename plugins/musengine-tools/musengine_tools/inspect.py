"""What there is in music files, and what is wrong with them: the work of `musengine inspect`."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from musengine.api import (
    GENERAL_MIDI,
    SILENT,
    Component,
    DiscoveryNotes,
    Encoder,
    Failure,
    Item,
    LeftOut,
    Meter,
    MusicFile,
    Piece,
    ProgressReporter,
    Registry,
    Score,
    Source,
    counted,
    find_items,
    open_file,
    overlap,
    pitch_name,
    process_files,
    shown_name,
    shown_number,
)
from musengine.errors import UnreadableError, UserError

DRUMS = "Drums"
_LISTED = 6
"""So many values a finding names before it says how many more there are."""


@dataclass(frozen=True, kw_only=True)
class Expectations:
    """What the music should be; what is otherwise is a finding.

    Attributes:
        bpm: the tempo, quarter notes per minute, throughout, within 0.01.
        pitches: lowest and highest MIDI number; drums do not count.
        meter: the time signature throughout.
    """

    bpm: float | None = None
    pitches: tuple[int, int] | None = None
    meter: Meter | None = None

    def findings(self, score: Score) -> Iterator[str]:
        """Yield a line for each expectation that a score does not meet."""
        if self.bpm is not None and (np.abs(score.tempo_bpm - self.bpm) > 0.01).any():
            tempi = _listed([shown_number(bpm) for bpm in _tempi(score)])
            yield f"the tempo is {tempi}, not {shown_number(self.bpm)} throughout"
        if self.pitches is not None:
            low, high = self.pitches
            pitch = score.pitch[~score.is_drum]
            outside = np.unique(pitch[(pitch < low) | (pitch > high)])
            if len(outside):
                count = int(np.isin(pitch, outside).sum())
                yield (
                    f"{counted(count, 'note')} outside {pitch_name(low)} to {pitch_name(high)} "
                    f"({low} to {high}): {_listed([str(number) for number in outside])}"
                )
        if self.meter is not None:
            wanted = f"{self.meter.numerator}/{self.meter.denominator}"
            # An upbeat has a meter of its own, as long as it is.
            if (meters := _meters(score)[bool(score.upbeat) :]) != [wanted]:
                yield f"the meter is {_listed(meters)}, not {wanted} throughout"


@dataclass(frozen=True, kw_only=True)
class TrackReport:
    """One track of a file, or the equal tracks of all its pieces.

    Attributes:
        name: as the file says.
        instrument: its General MIDI name, or `Drums`.
        program: General MIDI, 0 to 127.
        channel: the MIDI channel, 1 to 16, None where it has none.
        notes: how many.
        pitch_range: lowest and highest MIDI number, None where it has no notes.
        monophonic: it has notes, no drums, and never two at a time.
    """

    name: str
    instrument: str
    program: int
    channel: int | None
    notes: int
    pitch_range: tuple[int, int] | None
    monophonic: bool


@dataclass(frozen=True, kw_only=True)
class FileReport:
    """One music file.

    Attributes:
        path: as the user would write it.
        error: why it was refused, None where it was read.
        format: what kind of file it is.
        pieces: how many it holds; the figures below are those of all together.
        notes: how many, drums included; characters do not count.
        seconds: how long it lasts.
        bars: how many, by its meters.
        pitch_range: lowest and highest MIDI number of all but drums, None where there is none.
        tempi: quarter notes per minute, each once, in the order in which they come.
        meters: each once, in the order in which they come.
        tracks: its tracks.
        monophonic: the places in `tracks` of those that are.
        content: a hash of the notes, by which copies are found; empty where it was refused.
        duplicate_of: the path of the first file with the same notes, None where there is none.
        left_out: what arrays for a model would not hold of it, by a word.
        warnings: what was odd when it was read.
        findings: what is otherwise than expected.
    """

    path: str
    error: str | None = None
    format: str = ""
    pieces: int = 0
    notes: int = 0
    seconds: float = 0.0
    bars: int = 0
    pitch_range: tuple[int, int] | None = None
    tempi: tuple[float, ...] = ()
    meters: tuple[str, ...] = ()
    tracks: tuple[TrackReport, ...] = ()
    monophonic: tuple[int, ...] = ()
    content: str = ""
    duplicate_of: str | None = None
    left_out: dict[str, LeftOut] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return everything but the hash as JSON values."""
        values = asdict(self)
        del values["content"]
        return values


@dataclass
class Inspection:
    """All files that were looked at, and what was come upon beside them."""

    files: list[FileReport] = field(default_factory=list)
    found: DiscoveryNotes = field(default_factory=DiscoveryNotes)
    encoder: str = ""
    """Whose arrays `left_out` is about."""

    @property
    def faultless(self) -> bool:
        """Whether there is no error, no warning and no finding."""
        return not any(file.error or file.warnings or file.findings for file in self.files)

    def totals(self) -> dict[str, Any]:
        """Return the figures of all files together, as JSON values."""
        read = [file for file in self.files if file.error is None]
        instruments: Counter[str] = Counter()
        for file in read:
            for track in file.tracks:
                instruments[track.instrument] += track.notes
        return {
            "files": len(self.files),
            "readable": len(read),
            "refused": len(self.files) - len(read),
            "duplicates": sum(file.duplicate_of is not None for file in read),
            "pieces": sum(file.pieces for file in read),
            "notes": sum(file.notes for file in read),
            "bars": sum(file.bars for file in read),
            "seconds": round(sum(file.seconds for file in read), 3),
            "pitch_range": _widest(file.pitch_range for file in read),
            "warnings": sum(len(file.warnings) for file in self.files),
            "findings": sum(len(file.findings) for file in self.files),
            "formats": dict(Counter(file.format or "unknown" for file in read).most_common()),
            "instruments": dict(instruments.most_common()),
            "ignored": dict(self.found.ignored.most_common()),
            "encoder": self.encoder,
            "left_out": {what: asdict(each) for what, each in self.left_out.items()},
        }

    @property
    def left_out(self) -> dict[str, LeftOut]:
        """What arrays would not hold of all files, by a word."""
        return added(file.left_out for file in self.files)

    def as_json(self) -> dict[str, Any]:
        """Return all as JSON values."""
        return {"files": [file.as_json() for file in self.files], "totals": self.totals()}


def inspect(
    sources: Sequence[Source],
    registry: Registry,
    expected: Expectations,
    *,
    encoder: Component | None = None,
    jobs: int = 0,
    timeout: float = 300.0,
    reporter: ProgressReporter = SILENT,
) -> Inspection:
    """Look at every music file of some sources.

    A file whose reader crashes or takes too long is refused like one that holds no music. Memory
    does not grow with the size of the files, only with their number.

    Args:
        sources: files, folders and built-in corpora; a file come upon twice is looked at once.
        registry: where readers are found.
        expected: what the music should be.
        encoder: whose arrays are told what they would not hold; None for nobody's.
        jobs: processes, 0 for one on each core.
        timeout: seconds that one file may take.
        reporter: receives the progress.

    Raises:
        UserError: a path does not exist, a file has no reader, a corpus is unknown.
    """
    inspection = Inspection(encoder=encoder.name if encoder else "")
    tasks = list(_tasks(sources, registry, inspection.found))
    first_with: dict[str, str] = {}
    results = process_files(
        partial(_look, expected, encoder),
        tasks,
        title="inspecting",
        jobs=jobs,
        timeout=timeout,
        reporter=reporter,
    )
    for task, result in results:
        if isinstance(result, Failure):
            report = FileReport(path=task.shown, error=result.reason)
        else:
            report = result
        if report.content:
            first = first_with.setdefault(report.content, report.path)
            report = replace(report, duplicate_of=None if first == report.path else first)
        inspection.files.append(report)
    return inspection


def _tasks(
    sources: Sequence[Source], registry: Registry, found: DiscoveryNotes
) -> Iterator[MusicFile]:
    seen = set()
    for source in sources:
        for reader, item in _items(source, registry, found):
            # Resolved: a file may be named twice, or by a link.
            place = item.path.resolve() if source.scheme is None else (source.scheme, item.id)
            if place not in seen:
                seen.add(place)
                yield MusicFile(reader, item, shown_name(source, item))


def _items(
    source: Source, registry: Registry, found: DiscoveryNotes
) -> Iterable[tuple[Component, Item]]:
    """Return the files that a score can be read from; a file named by itself may be a text."""
    try:
        return list(find_items(source, registry, None, found, ("score",)))
    except UserError:
        return find_items(source, registry, None, found, ("score", "text"))


def _look(expected: Expectations, encoder: Component | None, task: MusicFile) -> FileReport:
    try:
        pieces = open_file(task.reader, task.item)
    except UnreadableError as error:
        return FileReport(path=task.shown, error=error.lines[0])
    report = report_on(task.shown, pieces, expected)
    if encoder is None:
        return report
    made: Encoder[Any] = encoder.create()
    return replace(report, left_out=added(made.left_out(piece.content) for piece in pieces))


def added(found: Iterable[Mapping[str, LeftOut]]) -> dict[str, LeftOut]:
    """Return what several leave out, together."""
    total: dict[str, LeftOut] = {}
    for each in found:
        for what, left in each.items():
            before = total[what].count if what in total else 0
            total[what] = replace(left, count=before + left.count)
    return total


def report_on(path: str, pieces: Sequence[Piece], expected: Expectations) -> FileReport:
    """Return what there is to say about the pieces of one file."""
    scores = [piece.content for piece in pieces if isinstance(piece.content, Score)]
    several = len(pieces) > 1
    warnings: dict[str, None] = {}
    findings: dict[str, None] = {}
    for piece in pieces:
        where = f"{piece.id.rpartition('#')[2]}: " if several else ""
        warnings.update((where + warning, None) for warning in piece.warnings)
        if isinstance(piece.content, Score):
            findings.update((where + line, None) for line in expected.findings(piece.content))
    tracks = _merged([track for score in scores for track in _tracks(score)], several)
    # Sorted: two books with the same tunes in another order are copies.
    prints = "\n".join(sorted(piece.content.notes_fingerprint() for piece in pieces))
    return FileReport(
        path=path,
        format=", ".join(dict.fromkeys(piece.format for piece in pieces if piece.format)),
        pieces=len(pieces),
        notes=sum(len(score) for score in scores),
        seconds=round(sum(float(score.seconds(score.length)) for score in scores), 3),
        bars=sum(score.n_bars for score in scores),
        pitch_range=_widest(_range(score.pitch[~score.is_drum]) for score in scores),
        tempi=tuple(dict.fromkeys(bpm for score in scores for bpm in _tempi(score))),
        meters=tuple(dict.fromkeys(meter for score in scores for meter in _meters(score))),
        tracks=tuple(tracks),
        monophonic=tuple(index for index, track in enumerate(tracks) if track.monophonic),
        content=hashlib.sha256(prints.encode()).hexdigest(),
        warnings=tuple(warnings),
        findings=tuple(findings),
    )


def _tracks(score: Score) -> list[TrackReport]:
    shares = overlap(score)
    reports = []
    for index, track in enumerate(score.tracks):
        pitch = score.pitch[score.track == index]
        reports.append(
            TrackReport(
                name=track.name,
                instrument=DRUMS if track.is_drum else GENERAL_MIDI[track.program],
                program=track.program,
                channel=None if track.channel is None else track.channel + 1,
                notes=len(pitch),
                pitch_range=_range(pitch),
                monophonic=bool(len(pitch) and not track.is_drum and shares[index] == 0),
            )
        )
    return reports


def _merged(tracks: list[TrackReport], several: bool) -> list[TrackReport]:
    """Put the equal tracks of several pieces together: a book has no thousand of them."""
    if not several:
        return tracks
    alike: dict[Any, list[TrackReport]] = {}
    for track in tracks:
        key = (track.name, track.instrument, track.program, track.channel)
        alike.setdefault(key, []).append(track)
    return [
        replace(
            group[0],
            notes=sum(track.notes for track in group),
            pitch_range=_widest(track.pitch_range for track in group),
            monophonic=all(track.monophonic for track in group if track.notes)
            and any(track.notes for track in group),
        )
        for group in alike.values()
    ]


def _range(pitch: np.ndarray[Any, Any]) -> tuple[int, int] | None:
    return (int(pitch.min()), int(pitch.max())) if len(pitch) else None


def _widest(ranges: Iterable[tuple[int, int] | None]) -> tuple[int, int] | None:
    known = [each for each in ranges if each is not None]
    return (min(low for low, _ in known), max(high for _, high in known)) if known else None


def _tempi(score: Score) -> list[float]:
    return list(dict.fromkeys(round(bpm, 3) for bpm in score.tempo_bpm.tolist()))


def _meters(score: Score) -> list[str]:
    return list(dict.fromkeys(f"{top}/{bottom}" for top, bottom in score.meter.tolist()))


def _listed(values: Sequence[str]) -> str:
    more = f" and {len(values) - _LISTED} more" if len(values) > _LISTED else ""
    return ", ".join(values[:_LISTED]) + more
