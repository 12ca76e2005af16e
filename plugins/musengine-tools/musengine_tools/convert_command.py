"""The command that turns files of music into files of another kind: convert."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from musengine.api import CommandContext, ExitStatus, add_jobs, add_settings, tempo, value_of
from musengine.errors import UserError

if TYPE_CHECKING:
    from musengine.api import GridStep, Instrument, Length, Source
    from musengine_tools.convert import ConversionResult
    from musengine_tools.edits import Adjustments

logger = logging.getLogger(__name__)


def add_convert_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `musengine convert`."""
    parser.add_argument("source", metavar="IN", help="a music file, a folder, a built-in corpus")
    parser.add_argument("out", type=Path, metavar="OUT", help="a file, a folder for many")
    _add_formats(parser)
    _add_choice(parser)
    _add_changes(parser)
    parser.add_argument(
        "--overwrite", action="store_true", help="replace files that are there already"
    )
    add_jobs(parser)


def _add_formats(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--to",
        metavar="NAME",
        help="what to write: a writer, an ending such as png, a text notation (OUT's ending, "
        "else midi)",
    )
    parser.add_argument(
        "--from",
        dest="origin",
        metavar="NAME",
        help="what to read: a reader, or the notation of texts (by each file's ending)",
    )
    add_settings(
        parser, "a setting of what is written, as width=2000; from.KEY=VALUE of what is read"
    )


def _add_choice(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--style",
        dest="styles",
        action="append",
        default=[],
        metavar="PATTERN",
        help="only from these folders inside IN, as Irish or '*/Happy'; may be given again",
    )
    tracks = "by index from 0 or by name, with commas between; may be given again"
    channels = "as MIDI counts them, 1 to 16, with commas between"
    parser.add_argument(
        "--tracks", action="append", default=[], metavar="LIST", help=f"keep these, {tracks}"
    )
    parser.add_argument(
        "--mute-tracks", action="append", default=[], metavar="LIST", help="leave these out"
    )
    parser.add_argument(
        "--channels", type=_channels, default=(), metavar="LIST", help=f"keep these, {channels}"
    )
    parser.add_argument(
        "--mute-channels", type=_channels, default=(), metavar="LIST", help="leave these out"
    )


def _add_changes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--flatten",
        action="store_true",
        help="all tracks on one piano at 120 BPM, sounding the same; no drums",
    )
    parser.add_argument(
        "--keep-drums", action="store_true", help="with --flatten: drums on a track of their own"
    )
    parser.add_argument(
        "--longest-note",
        type=_length,
        metavar="LENGTH",
        help="end notes held longer than, say, '1 bar' (with --flatten: 4 beats)",
    )
    parser.add_argument(
        "--transpose", type=int, default=0, metavar="N", help="semitones up, down if negative"
    )
    parser.add_argument("--bpm", type=tempo, metavar="BPM", help="a constant tempo; notes stay")
    parser.add_argument(
        "--quantize", type=_grid_step, metavar="STEP", help="to a grid, as '1/4 beat'"
    )
    parser.add_argument(
        "--instrument", type=_instrument, metavar="NAME", help="of General MIDI, or its number"
    )


def _channels(text: str) -> tuple[int, ...]:
    numbers = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and 1 <= int(part) <= 16 for part in numbers):
        raise argparse.ArgumentTypeError(f"expected channels from 1 to 16, got {text!r}")
    return tuple(int(part) for part in numbers)


def _length(text: str) -> Length:
    from musengine.api import Length

    length = value_of(lambda text: Length.from_toml(text, Path()), text)
    if length.unit not in ("beats", "bars", "seconds") or not length.number:
        raise argparse.ArgumentTypeError(f"expected beats, bars or seconds, got {text!r}")
    return length


def _grid_step(text: str) -> GridStep:
    from musengine.api import GridStep

    return value_of(lambda text: GridStep.from_toml(text, Path()), text)


def _instrument(text: str) -> Instrument:
    from musengine.api import Instrument

    number = int(text) if text.isdecimal() and len(text) < 4 else text
    return value_of(lambda _: Instrument.from_toml(number, Path()), text)


def convert(parsed: argparse.Namespace, context: CommandContext) -> int:
    """Carry out `musengine convert`."""
    registry = context.registry
    from musengine.api import Source
    from musengine_tools.convert import ConversionPlan, convert, is_single
    from musengine_tools.formats import find_origin, find_target

    source = Source(parsed.source)
    into_folder = not is_single(source) or parsed.out.is_dir()
    ending = "" if into_folder else parsed.out.suffix[1:]
    of_origin = [text[5:] for text in parsed.settings if text.startswith("from.")]
    of_target = [text for text in parsed.settings if not text.startswith("from.")]
    target = find_target(registry, parsed.to or ending or "midi", of_target, ending)
    plan = ConversionPlan(
        origin=find_origin(registry, parsed.origin, of_origin),
        target=target,
        adjustments=_adjustments(parsed),
        overwrite=parsed.overwrite,
        styles=tuple(parsed.styles),
    )
    out = _checked(parsed.out, source, single=is_single(source), suffix=target.suffix)
    outcome = convert(
        source,
        out,
        plan,
        registry,
        jobs=parsed.jobs,
        timeout=parsed.timeout,
        reporter=context.reporter,
    )
    _tell(outcome, out)
    return ExitStatus.DONE


def _checked(out: Path, source: Source, *, single: bool, suffix: str) -> Path:
    """Return the file or folder to write to, what is given checked against what is there."""
    if single and out.is_dir():
        return out / (Path(source.text).stem + suffix)
    if not single and out.exists() and not out.is_dir():
        raise UserError(
            f"{out} is a file, and {source.text} holds many; name a folder", code="file-not-folder"
        )
    return out


def _adjustments(parsed: argparse.Namespace) -> Adjustments:
    from musengine_tools.edits import Adjustments

    return Adjustments(
        tracks=tuple(parsed.tracks),
        mute_tracks=tuple(parsed.mute_tracks),
        channels=parsed.channels,
        mute_channels=parsed.mute_channels,
        transpose=parsed.transpose,
        flatten=parsed.flatten,
        keep_drums=parsed.keep_drums,
        bpm=parsed.bpm,
        quantize=parsed.quantize,
        longest_note=parsed.longest_note,
        instrument=parsed.instrument,
    )


def _tell(outcome: ConversionResult, out: Path) -> None:
    """Say what was written, what was skipped and why, and what was left out.

    Raises:
        UserError: nothing was written.
    """
    from musengine.api import LeftOut, counted, told_left_out, told_skipped

    for notice in outcome.notices:
        logger.info(notice)
    for line in told_skipped(outcome.skipped):
        logger.warning(line)
    if outcome.dropped:
        left_out = {
            what: LeftOut(count, outcome.keep.get(what, ""))
            for what, count in outcome.dropped.most_common()
        }
        logger.warning(f"left out of what was written: {told_left_out(left_out)}")
    if outcome.warnings:
        what = counted(outcome.warnings, "warning")
        logger.warning(f"{what} on reading; `musengine inspect` shows what was odd")
    if not outcome.files:
        raise UserError(f"nothing was written to {out}", code="nothing-written")
    notes = f", {counted(outcome.notes, 'note')}" if outcome.notes else ""
    left = f", {len(outcome.skipped):,} skipped" if outcome.skipped else ""
    files = outcome.files
    what = f"{counted(len(files), 'file')} to {out}"
    if files == [out]:
        what = str(out)
    elif not out.is_dir():  # the pieces of one file, numbered
        what = f"{counted(len(files), 'file')}, {files[0]} to {files[-1]}"
    logger.info(f"wrote {what}{notes}{left}")
