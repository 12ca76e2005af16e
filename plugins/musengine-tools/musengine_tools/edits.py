"""What `musengine convert` changes in a score on its way: tracks, pitch, time, instrument."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from musengine.api import (
    GridStep,
    Instrument,
    LeftOut,
    Length,
    Score,
    keep_tracks,
    left_out_of_performance,
    snap,
    tempo_map,
    tracks_on,
)
from musengine.errors import UnreadableError, did_you_mean
from musengine_tools.flatten import WHOLE_NOTE, flatten, shorten


@dataclass(frozen=True, kw_only=True)
class Adjustments:
    """Changes in the order in which they are made; by default none.

    Attributes:
        tracks: the tracks to keep, by index from 0 or by name; empty for all.
        mute_tracks: tracks to leave out.
        channels: the MIDI channels, 1 to 16, to keep; empty for all.
        mute_channels: channels to leave out.
        transpose: semitones; drums stay.
        flatten: to one piano track at 120 quarter notes per minute.
        keep_drums: drums have a track beside the piano when flattened.
        bpm: a constant tempo; ticks stay, so what is written stays and sounds faster or slower.
        quantize: the grid that notes are moved to.
        longest_note: notes held longer are ended; None for a whole note when flattened, else for
            no limit.
        instrument: of all tracks but drums.
    """

    tracks: tuple[str, ...] = ()
    mute_tracks: tuple[str, ...] = ()
    channels: tuple[int, ...] = ()
    mute_channels: tuple[int, ...] = ()
    transpose: int = 0
    flatten: bool = False
    keep_drums: bool = False
    bpm: float | None = None
    quantize: GridStep | None = None
    longest_note: Length | None = None
    instrument: Instrument | None = None

    @property
    def any(self) -> bool:
        """Whether any option asks for a change."""
        return self != Adjustments()

    def apply(self, score: Score) -> tuple[Score, Counter[str]]:
        """Return the changed score, and what was dropped of what was asked for, counted by a word.

        Raises:
            UnreadableError: there is no such track or channel, or no note is left.
        """
        dropped: Counter[str] = Counter()
        score = self._chosen(score)
        asked = len(score)
        # The order is that of the fields: tracks are chosen before anything is counted as dropped,
        # and time is changed last, when all notes are on their tracks.
        score = score.transpose(self.transpose)
        dropped["notes beyond the range of MIDI"] = asked - len(score)
        if not len(score):
            raise UnreadableError("no notes are left", code="no-notes")
        if self.flatten and not self.keep_drums:
            dropped["drum notes"] = int(score.is_drum.sum())
            if dropped["drum notes"] == len(score):
                raise UnreadableError(
                    "it has nothing but drums, which are left out unless they are kept",
                    code="only-drums",
                )
        if self.flatten:
            score = flatten(score, longest=None, keep_drums=self.keep_drums)
        score = self._timed(score)
        dropped["notes that fell together with another"] = asked - dropped.total() - len(score)
        return score, +dropped

    def left_out(self, score: Score) -> dict[str, LeftOut]:
        """Return what the changes leave out of how a score is played, and what would keep it."""
        found: dict[str, LeftOut] = {}
        if self.flatten:
            found = left_out_of_performance(self._chosen(score), in_beats=False)
            found.pop("velocities", None)  # it keeps them
            if not self.keep_drums and (drums := int(score.is_drum.sum())):
                found["drum notes"] = LeftOut(drums, "--keep-drums")
        if self.bpm is not None and len(score.tempo_tick) > 1:
            found["tempo changes"] = LeftOut(len(score.tempo_tick) - 1)
        return found

    def _chosen(self, score: Score) -> Score:
        kept = set(range(len(score.tracks)))
        if self.tracks:
            kept &= {place for name in self.tracks for place in find_tracks(score, name)}
        if self.channels:
            kept &= set(_on_channels(score, self.channels))
        for name in self.mute_tracks:
            kept -= set(find_tracks(score, name, missing_ok=True))
        kept -= set(tracks_on(score, [channel - 1 for channel in self.mute_channels]))
        return score if len(kept) == len(score.tracks) else keep_tracks(score, kept)

    def _timed(self, score: Score) -> Score:
        if self.bpm is not None:
            tempo_tick, tempo_bpm = tempo_map([(0, self.bpm)])
            score = replace(score, tempo_tick=tempo_tick, tempo_bpm=tempo_bpm)
        if self.quantize is not None:
            score = snap(score, self.quantize)
        longest = self.longest_note or (WHOLE_NOTE if self.flatten else None)
        if longest is not None:
            score = shorten(score, longest)
        if self.instrument is not None:
            program = self.instrument.program
            tracks = (
                track if track.is_drum else replace(track, program=program)
                for track in score.tracks
            )
            # A bank (controllers 0 and 32) would make another instrument of the program.
            others = (score.control[:, 1] != 0) & (score.control[:, 1] != 32)
            score = replace(
                score,
                tracks=tuple(tracks),
                control_tick=score.control_tick[others],
                control=score.control[others],
            )
        return score


def find_tracks(score: Score, wanted: str, *, missing_ok: bool = False) -> list[int]:
    """Return the indices of tracks by name, letter case ignored, or by index.

    Args:
        score: whose tracks.
        wanted: a name, an index, or several with commas between; a name may itself hold commas.
        missing_ok: leave out those there are not.

    Raises:
        UnreadableError: there is none of a name or index; says which there are.
    """
    if found := _named(score, wanted):
        return found
    for part in wanted.split(","):
        tracks = _named(score, part)
        if not tracks and not missing_ok:
            names = [track.name for track in score.tracks]
            there = ", ".join(f"{index} {name!r}" for index, name in enumerate(names[:16]))
            near = did_you_mean(part, names)
            raise UnreadableError(
                f"no track {part!r}; its tracks are {there or 'none'}{near}", code="unknown-track"
            )
        found += tracks
    return found


def _named(score: Score, wanted: str) -> list[int]:
    """Return the tracks of a name, else the one of an index, else none."""
    wanted = wanted.strip()
    names = [track.name.strip().casefold() for track in score.tracks]
    found = [index for index, name in enumerate(names) if name == wanted.casefold()]
    if not found and wanted.isdecimal() and len(wanted) < 10 and int(wanted) < len(names):
        return [int(wanted)]
    return found


def _on_channels(score: Score, channels: Sequence[int]) -> list[int]:
    found = tracks_on(score, [channel - 1 for channel in channels])
    if not found:
        known = {track.channel + 1 for track in score.tracks if track.channel is not None}
        there = ", ".join(map(str, sorted(known)))
        wanted = ", ".join(map(str, channels))
        raise UnreadableError(
            f"no track on channel {wanted}; it uses {there or 'no channels'}", code="unknown-track"
        )
    return found
