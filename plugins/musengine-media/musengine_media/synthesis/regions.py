"""What a SoundFont says of a sound: where it lies, for which notes it is, how it is played."""

from __future__ import annotations

from dataclasses import dataclass

_FARTHEST = 9600
"""Cents by which a sound is played higher or lower."""


@dataclass(frozen=True)
class Sample:
    """Where a sound lies in the file.

    Attributes:
        start: frame, or byte where it is compressed, in the chunk of samples.
        end: the one after its last.
        loop_start: frames after the start.
        loop_end: frames after the start; not after the loop's start where it has no loop.
        rate: frames a second.
        compressed: whether it is Ogg Vorbis.
    """

    start: int
    end: int
    loop_start: int
    loop_end: int
    rate: int
    compressed: bool


@dataclass(frozen=True)
class Envelope:
    """How loud a note is in time: seconds, and the decibels by which it falls while it is held.

    Decay and release are the seconds that a fall by 100 dB takes.
    """

    delay: float
    attack: float
    hold: float
    decay: float
    sustain: float
    release: float


@dataclass(frozen=True)
class Region:
    """What of a preset sounds for some keys and velocities.

    Attributes:
        keys: the lowest and the highest.
        velocities: the lowest and the highest.
        sample: its sound.
        root: the key at which the sound has its own pitch.
        cents: by how much all is tuned higher.
        cents_per_key: 100 but where a drum sounds the same on all keys.
        fixed_key: the key that it sounds as whichever is struck; None for that.
        fixed_velocity: likewise.
        decibels: by how much it is softer.
        pan: -0.5 is left, 0.5 right.
        group: of regions of one group the last alone sounds; 0 for none.
        cutoff: Hz of the low-pass filter, where its envelope has it in the mean at first.
        resonance: decibels at the cutoff.
        envelope: at key 60.
        hold_per_key: octaves by which the hold is shorter for each key above 60.
        decay_per_key: likewise.
    """

    keys: tuple[int, int]
    velocities: tuple[int, int]
    sample: Sample
    root: int
    cents: int
    cents_per_key: int
    fixed_key: int | None
    fixed_velocity: int | None
    decibels: float
    pan: float
    group: int
    cutoff: float
    resonance: float
    envelope: Envelope
    hold_per_key: float
    decay_per_key: float

    def ratio(self, key: int) -> float:
        """Return how many times higher than by itself the sound is on a key."""
        key = key if self.fixed_key is None else self.fixed_key
        cents = (key - self.root) * self.cents_per_key + self.cents
        return float(2 ** (min(max(cents, -_FARTHEST), _FARTHEST) / 1200))
