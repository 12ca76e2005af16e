"""What an encoder's arrays look like: compared by value, an open set that plugins extend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from musengine.config.quantities import GridStep


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The shape and meaning of an encoded piece.

    Every encoded piece is one array whose first axis is time. A plugin with arrays of another
    kind subclasses this with a `name` of its own. `conditioning` names the conditioning channels
    that come with the arrays, for models that need one.
    """

    name: str
    conditioning: tuple[str, ...] = ()

    @property
    def step_shape(self) -> tuple[int, ...]:
        """The shape of one time step."""
        return ()


@dataclass(frozen=True, kw_only=True)
class Grid(Layout):
    """Steps × pitches × channels of 0 and 1.

    `channels` is `("sound",)`, where a note is a run of ones and repeated notes merge, or
    `("sound", "onset")`, where the second channel marks the step in which a note is struck.
    With `silence_marker`, the lowest pitch alone is no note: it says that nothing sounds.
    """

    name: str = "grid"
    lowest: int
    pitches: int
    channels: tuple[str, ...] = ("sound",)
    step: GridStep
    silence_marker: bool = False

    @property
    def step_shape(self) -> tuple[int, ...]:
        """(pitches, channels)."""
        return (self.pitches, len(self.channels))


@dataclass(frozen=True, kw_only=True)
class Tokens(Layout):
    """A sequence of integers from 0 to `size - 1`.

    `size` is 0 until an encoder that learns its vocabulary has seen the training part.
    `meanings` tells samplers what a token does, where it has a meaning of its own:
    `("pitch", 60)`, `("rest", 0)`, `("hold", 0)`, `("step", 1)`. `end` is the token after which
    a piece is over. `step` is how long a step lasts, where time is even: every token is one step,
    unless some mean `("step", n)`; then only those move time on, by n steps.
    """

    name: str = "tokens"
    size: int = 0
    step: GridStep | None = None
    meanings: Mapping[int, tuple[str, int]] = field(default_factory=dict, hash=False)
    end: int | None = None
