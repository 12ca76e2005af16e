"""Settings of the samplers; no torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from musengine.api import Config, Grid, Layout, Length, SamplerConfig, Tokens, setting
from musengine_samplers.meanings import all_pitches, has_steps, is_learned_later, without_notes
from musengine_samplers.scales import Key, ScaleName, pitch_classes


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class ThresholdConfig(Config):
    """Unlikely notes are never drawn, the others as they are."""

    threshold: float = setting(
        0.1, doc="A probability at or below this becomes 0.", low=0.0, below=1.0
    )


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class AdaptiveConfig(Config):
    """The fewer notes sound, the more readily they are drawn."""

    conservativity: float = setting(
        1.0,
        doc="A note is drawn with its probability to the power c. This is what c is capped at "
        "when few notes sound, and what it moves back to when enough do.",
        above=0.0,
    )
    start: float = setting(1.0, doc="What c is in the first step of a piece.", above=0.0)
    fewest: int = setting(2, doc="With fewer notes sounding than this, c is lowered.", low=0)
    lowered_by: float = setting(
        0.02, doc="What is taken off c after a step with too few notes.", low=0.0
    )
    moved_back: float = setting(
        0.3,
        doc="Share of the way back that c goes after a step with enough notes.",
        low=0.0,
        high=1.0,
    )
    least: float = setting(
        0.02, doc="c never falls below this; at 0 every note would sound.", above=0.0
    )

    def problems(self) -> Iterable[tuple[str, str]]:
        """Yield a floor above the ceiling."""
        if self.least > self.conservativity:
            yield (
                "least",
                f"must be at most conservativity ({self.conservativity}), got {self.least}",
            )


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class TemperedConfig(Config):
    """Each piece is drawn boldly or evenly by a power of its own."""

    mu: float = setting(
        1.0,
        doc="Mean of the normal distribution that each piece's power is drawn from. Above 1 what "
        "is likely becomes likelier, below 1 all comes nearer to even.",
        above=0.0,
    )
    sigma: float = setting(
        0.1,
        doc="Its standard deviation; 0 gives every piece the power mu. A power at or below 0 is "
        "drawn again.",
        low=0.0,
    )


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class TemperatureConfig(Config):
    """Logits divided by a temperature."""

    temperature: float = setting(
        1.0,
        doc="Below 1 what is likely becomes likelier, above 1 all comes nearer to even.",
        above=0.0,
    )


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class TopKConfig(Config):
    """Only the likeliest few are drawn from."""

    k: int = setting(10, doc="How many tokens, or notes of a step, are left; the likeliest.", low=1)


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class NucleusConfig(Config):
    """Only the likeliest tokens that together reach a probability are drawn from."""

    p: float = setting(
        0.95, doc="Probability that the tokens left reach together.", above=0.0, high=1.0
    )


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class MinPConfig(Config):
    """Only tokens not much less likely than the likeliest are drawn from."""

    p: float = setting(
        0.05,
        doc="Share of the likeliest token's probability that a token must have.",
        above=0.0,
        high=1.0,
    )


def _wrong_length(length: Length) -> Iterable[tuple[str, str]]:
    if length.unit == "tokens":
        yield "length", "give it in steps, beats, bars or seconds"


def _length_incompatibilities(length: Length, layout: Layout) -> Iterable[str]:
    """Yield a length in a unit that a layout's steps cannot be measured with."""
    if is_learned_later(layout):
        return
    if length.unit != "steps" and getattr(layout, "step", None) is None:
        yield (
            f"the encoder does not say how long a step is; give length in steps, "
            f"not in {length.unit}"
        )


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class LongestNoteConfig(SamplerConfig):
    """No note is held longer than a length."""

    length: Length = setting(
        Length(4.0, "beats"),
        doc="The longest a note may last; at least one step, and rounded down to whole steps.",
    )

    def problems(self) -> Iterable[tuple[str, str]]:
        """Yield a length that is none."""
        yield from _wrong_length(self.length)
        if not self.length.number:
            yield "length", "must be more than 0"

    def incompatibilities(self, layout: Layout) -> Iterable[str]:
        """Yield tokens without notes, and steps without a length."""
        yield from without_notes(layout)
        yield from _length_incompatibilities(self.length, layout)


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class LongestRestConfig(SamplerConfig):
    """Silence lasts no longer than a length."""

    length: Length = setting(
        Length(2.0, "beats"),
        doc='The longest that nothing may sound, rounded down to whole steps; `"0 steps"` for no '
        "rest at all.",
    )

    def problems(self) -> Iterable[tuple[str, str]]:
        """Yield a length in tokens."""
        yield from _wrong_length(self.length)

    def incompatibilities(self, layout: Layout) -> Iterable[str]:
        """Yield tokens without notes, and steps without a length."""
        yield from without_notes(layout)
        yield from _length_incompatibilities(self.length, layout)


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class NotesAtOnceConfig(SamplerConfig):
    """At least so many notes sound at once, and at most so many."""

    at_least: int | None = setting(None, doc="Fewest notes of a step.", low=0)
    at_most: int | None = setting(None, doc="Most notes of a step.", low=1)

    def problems(self) -> Iterable[tuple[str, str]]:
        """Yield bounds that are missing or contradict each other."""
        if self.at_least is None and self.at_most is None:
            yield "at_most", "missing; give at_least, at_most or both"
        elif self.fewest > self.most:
            yield "at_most", f"must be at least at_least ({self.fewest}), got {self.most}"

    @property
    def fewest(self) -> int:
        """The lower bound, 0 where none is given."""
        return self.at_least or 0

    @property
    def most(self) -> int:
        """The upper bound, beyond all pitches where none is given."""
        return 128 if self.at_most is None else self.at_most

    def incompatibilities(self, layout: Layout) -> Iterable[str]:
        """Yield more notes than a layout can write at once."""
        yield from without_notes(layout)
        if is_learned_later(layout):
            return
        there = len(all_pitches(layout))
        if isinstance(layout, Grid) and layout.silence_marker:
            there -= 1
        if isinstance(layout, Tokens) and not has_steps(layout):
            there = min(there, 1)
        if self.fewest > there > 0:
            notes = "one note" if there == 1 else f"{there} notes"
            yield f"at_least = {self.fewest}, but the encoder writes at most {notes} at once"


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class SmallestIntervalConfig(SamplerConfig):
    """Notes that sound at once keep a distance."""

    semitones: int = setting(
        2, doc="Smallest distance of two notes; 2 leaves out minor seconds.", low=2, high=12
    )

    def incompatibilities(self, layout: Layout) -> Iterable[str]:
        """Yield tokens without notes."""
        return without_notes(layout)


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class ScaleConfig(SamplerConfig):
    """Only the notes of a scale are drawn."""

    key: Key = setting("C", doc="The tonic.")
    scale: ScaleName = setting("major", doc="The scale on the tonic.")
    pitch_classes: tuple[int, ...] = setting(
        (),
        doc="Pitch classes of its own, C = 0 to B = 11, instead of key and scale.",
        low=0,
        high=11,
    )

    def allowed(self) -> frozenset[int]:
        """Return the pitch classes that may sound."""
        return frozenset(self.pitch_classes) or pitch_classes(self.key, self.scale)

    def incompatibilities(self, layout: Layout) -> Iterable[str]:
        """Yield a layout without notes of the scale."""
        yield from without_notes(layout)
        pitches = all_pitches(layout)
        if pitches and not {pitch % 12 for pitch in pitches} & self.allowed():
            yield "none of the encoder's pitches is in the scale"
