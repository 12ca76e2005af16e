"""What sounds and for how long, piece by piece, followed step after step or token after token.

Each kind of layout has a class that follows it and knows which of the next choices would make a
note or a rest too long, or too many or too few notes sound at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from musengine.api import Grid, History, Layout, Limits, Tokens
from musengine_samplers.meanings import has_steps

PITCHES = 128


def sounding(choice: Tensor, layout: Grid) -> Tensor:
    """Return (..., pitches) bool of steps (..., pitches, channels): the marker is no note."""
    sound = choice[..., 0] > 0
    if layout.silence_marker:
        # The marker shares the lowest row with that pitch: alone it says that nothing sounds.
        marker = sound[..., :1] & (sound.sum(dim=-1, keepdim=True) == 1)
        sound = torch.cat([sound[..., :1] & ~marker, sound[..., 1:]], dim=-1)
    return sound


def neighbours(notes_NP: Tensor, reach: int) -> Tensor:
    """Return (N, pitches) bool, True at pitches 1 to `reach` semitones from a note."""
    near_NP = torch.zeros_like(notes_NP)
    for distance in range(1, min(reach, notes_NP.shape[1] - 1) + 1):
        near_NP[:, distance:] |= notes_NP[:, :-distance]
        near_NP[:, :-distance] |= notes_NP[:, distance:]
    return near_NP


class Sounding(ABC):
    """What sounds in N pieces."""

    each: ClassVar[tuple[str, ...]]
    """The attributes that have a value for each piece."""

    @abstractmethod
    def observe(self, choice: Tensor) -> None:
        """Take in the next choice (N, ...)."""

    @abstractmethod
    def limit_notes(self, limits: Limits, steps: int) -> Limits:
        """Forbid what would make a note longer than so many steps."""

    @abstractmethod
    def limit_rests(self, limits: Limits, steps: int) -> Limits:
        """Forbid what would make a silence longer than so many steps, as far as known before."""

    @abstractmethod
    def limit_count(self, limits: Limits, at_least: int, at_most: int) -> Limits:
        """Forbid what would break bounds on the notes at once, as far as known before."""

    def limit_intervals(self, limits: Limits, semitones: int) -> Limits:
        """Forbid pitches closer than that to those sounding, as far as known before."""
        return limits

    def read(self, steps: Tensor, padding: Tensor | None = None) -> None:
        """Take in (N, T, ...) steps, of which the first of each piece (N,) may be none of it."""
        before = {name: getattr(self, name) for name in self.each}
        padded = 0 if padding is None else int(padding.max())
        # Prompts are padded on the left, so that all end at the same step.
        for t in range(steps.shape[1]):
            self.observe(steps[:, t])
            if padding is None or t >= padded:
                continue
            none_yet_N = t < padding
            for name, initial in before.items():
                now = getattr(self, name)
                mask = none_yet_N.reshape(-1, *[1] * (now.dim() - 1))
                # Pieces whose prompt has not begun are put back to what was before it.
                setattr(self, name, torch.where(mask, initial, now))


class GridSounding(Sounding):
    """Of a grid. Silence and the number of notes are known only when a step is whole.

    Attributes:
        held_NP: steps that the note now sounding has lasted, 0 where none is.
        rest_N: steps that nothing has sounded.
    """

    each = ("held_NP", "rest_N")

    def __init__(self, layout: Grid, pieces: int, device: torch.device) -> None:
        self.layout = layout
        self.held_NP = torch.zeros(pieces, layout.pitches, dtype=torch.int32, device=device)
        self.rest_N = torch.zeros(pieces, dtype=torch.int32, device=device)

    @property
    def has_onsets(self) -> bool:
        """Whether a note can be struck while it sounds."""
        return self.layout.channels == ("sound", "onset")

    def observe(self, choice: Tensor) -> None:
        """Take in a step."""
        sound_NP = sounding(choice, self.layout)
        before_NP = self.held_NP
        if self.has_onsets:
            # Struck again: another note, whose length begins anew.
            before_NP = before_NP.masked_fill(choice[..., 1] > 0, 0)
        self.held_NP = torch.where(sound_NP, before_NP + 1, 0)
        self.rest_N = torch.where(sound_NP.any(dim=1), 0, self.rest_N + 1)

    def limit_notes(self, limits: Limits, steps: int) -> Limits:
        """Silence the note for a step; with onsets let it go on if it is struck again."""
        over_NP = self.held_NP >= steps
        if self.has_onsets:
            return limits.force(torch.stack([torch.zeros_like(over_NP), over_NP], dim=-1))
        return limits.forbid(over_NP[..., None])

    def limit_rests(self, limits: Limits, steps: int) -> Limits:
        """Return the limits as they are."""
        return limits

    def limit_count(self, limits: Limits, at_least: int, at_most: int) -> Limits:
        """Return the limits as they are."""
        return limits


class LineSounding(Sounding):
    """Of tokens that are one step each: a pitch, a rest, or what was before, held.

    Where no token means `hold`, the same pitch again is the same note, held. A token without a
    meaning changes nothing.
    """

    each = ("pitch_N", "held_N", "rests_N")

    def __init__(self, layout: Tokens, pieces: int, device: torch.device) -> None:
        self.pitch_S = _table(layout, "pitch", -1, device)
        self.rest_S = _table(layout, "rest", -1, device) >= 0
        self.hold_S = _table(layout, "hold", -1, device) >= 0
        # As melodies are decoded then: the same pitch twice is one long note.
        self.merges = not layout.tokens_of("hold")
        self.pitch_N = torch.full((pieces,), -1, dtype=torch.int64, device=device)
        self.held_N = torch.zeros(pieces, dtype=torch.int64, device=device)
        self.rests_N = torch.zeros(pieces, dtype=torch.int64, device=device)

    def observe(self, choice: Tensor) -> None:
        """Take in a token."""
        pitch_N, rest_N, hold_N = self.pitch_S[choice], self.rest_S[choice], self.hold_S[choice]
        note_N, silent_before_N = pitch_N >= 0, self.pitch_N < 0
        held_N = hold_N & ~silent_before_N
        if self.merges:
            held_N = note_N & (pitch_N == self.pitch_N)
        silent_N = rest_N | (hold_N & silent_before_N)
        started_N = note_N & ~held_N
        self.held_N = (self.held_N + held_N.long()).masked_fill(started_N, 1)
        self.held_N = self.held_N.masked_fill(silent_N, 0)
        self.rests_N = (self.rests_N + silent_N.long()).masked_fill(note_N, 0)
        self.pitch_N = torch.where(note_N, pitch_N, self.pitch_N).masked_fill(rest_N, -1)

    def limit_notes(self, limits: Limits, steps: int) -> Limits:
        """Forbid to hold the note; without a hold token, forbid its pitch."""
        over_N1 = (self.held_N >= steps)[:, None]
        same_NS = self.pitch_S == self.pitch_N[:, None] if self.merges else self.hold_S
        return limits.forbid(over_N1 & same_NS)

    def limit_rests(self, limits: Limits, steps: int) -> Limits:
        """Forbid rests, and to hold one."""
        due_N1 = (self.rests_N >= steps)[:, None]
        silent_N1 = (self.pitch_N < 0)[:, None]
        return limits.forbid(due_N1 & (self.rest_S | (self.hold_S & silent_N1)))

    def limit_count(self, limits: Limits, at_least: int, at_most: int) -> Limits:
        """Forbid all rests where one note must sound; more than one cannot."""
        return self.limit_rests(limits, 0) if at_least else limits


class StepSounding(Sounding):
    """Of tokens of which some move time on: the pitches between two of those sound together.

    A pitch that is named in successive steps is one note, held.
    """

    each = ("now_NP", "held_NP", "rest_N")

    def __init__(self, layout: Tokens, pieces: int, device: torch.device) -> None:
        self.pitch_S = _table(layout, "pitch", -1, device)
        self.step_S = _table(layout, "step", 0, device)
        # What every note lasts at least, so that a bound below it could not be kept.
        self.shortest = min(layout.tokens_of("step").values())
        self.now_NP = torch.zeros(pieces, PITCHES, dtype=torch.bool, device=device)
        self.held_NP = torch.zeros(pieces, PITCHES, dtype=torch.int64, device=device)
        self.rest_N = torch.zeros(pieces, dtype=torch.int64, device=device)
        self.all_P = torch.arange(PITCHES, device=device)

    def observe(self, choice: Tensor) -> None:
        """Take in a token."""
        steps_N = self.step_S[choice]
        now_NP = self.now_NP | (self.all_P == self.pitch_S[choice][:, None])
        over_N, over_N1 = steps_N > 0, (steps_N > 0)[:, None]
        longer_NP = torch.where(now_NP, self.held_NP + steps_N[:, None], 0)
        self.held_NP = torch.where(over_N1, longer_NP, self.held_NP)
        longer_N = torch.where(now_NP.any(dim=1), 0, self.rest_N + steps_N)
        self.rest_N = torch.where(over_N, longer_N, self.rest_N)
        self.now_NP = now_NP & ~over_N1

    def limit_notes(self, limits: Limits, steps: int) -> Limits:
        """Forbid the pitches of notes that have lasted long enough, and steps too long for them."""
        steps = max(steps, self.shortest)
        longest_N = torch.where(self.now_NP, self.held_NP, 0).amax(dim=1)
        sounding_N1 = self.now_NP.any(dim=1, keepdim=True)
        too_long_NS = sounding_N1 & (longest_N[:, None] + self.step_S > steps)
        # The shortest step stays: a prompt may have broken the bound in a step it left open.
        too_long_NS &= self.step_S > self.shortest
        return limits.forbid(self._pitches(self.held_NP + self.shortest > steps) | too_long_NS)

    def limit_rests(self, limits: Limits, steps: int) -> Limits:
        """Forbid to move on from a step in which nothing sounds yet."""
        silent_N1 = ~self.now_NP.any(dim=1, keepdim=True)
        too_long_NS = self.rest_N[:, None] + self.step_S > steps
        return limits.forbid(silent_N1 & (self.step_S > 0) & too_long_NS)

    def limit_count(self, limits: Limits, at_least: int, at_most: int) -> Limits:
        """Forbid to move on too early, and pitches too many or named before in the step."""
        count_N1 = self.now_NP.sum(dim=1, keepdim=True)
        early_NS = (count_N1 < at_least) & (self.step_S > 0)
        many_NS = (count_N1 >= at_most) & (self.pitch_S >= 0)
        return limits.forbid(early_NS | many_NS | self._pitches(self.now_NP))

    def limit_intervals(self, limits: Limits, semitones: int) -> Limits:
        """Forbid pitches too close to those of the step."""
        return limits.forbid(self._pitches(neighbours(self.now_NP, semitones - 1)))

    def _pitches(self, mask_NP: Tensor) -> Tensor:
        """Return (N, size), True at the tokens whose pitches are."""
        # Tokens without a pitch, -1, look up pitch 0 and are masked out: no index may be negative.
        return mask_NP[:, self.pitch_S.clamp_min(0)] & (self.pitch_S >= 0)


def _table(layout: Tokens, kind: str, other: int, device: torch.device) -> Tensor:
    """Return (size,): the number that goes with each token of a kind, else another."""
    table = torch.full((layout.size,), other, dtype=torch.int64)
    for token, value in layout.tokens_of(kind).items():
        table[token] = value
    return table.to(device)


def follow(layout: Layout, history: History) -> Sounding:
    """Return what sounds at the end of the prompts."""
    pieces, device = len(history.steps), history.steps.device
    result: Sounding
    if isinstance(layout, Grid):
        result = GridSounding(layout, pieces, device)
    else:
        assert isinstance(layout, Tokens)
        result = (StepSounding if has_steps(layout) else LineSounding)(layout, pieces, device)
    result.read(history.steps, history.padding)
    return result
