"""What an encoder's arrays look like: compared by value, an open set that plugins extend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from musengine.config.quantities import GridStep

if TYPE_CHECKING:
    from musengine.encoding.grammar import Grammar
    from musengine.utils.arrays import Array, IntArray


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

    def bar_starts(self, steps: Array) -> IntArray:
        """Return the indices of the steps with which bars begin, as far as the arrays tell."""
        # Declarations name layouts, and listing them is to be quick.
        import numpy as np

        return np.zeros(0, dtype=np.int64)


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

    Attributes:
        step: how long a step lasts, where time is even: every token is one step, unless some mean
            `("step", n)`; then only those move time on, by n steps.
        meanings: what a token does, where it has a meaning of its own. Samplers and the engine
            know `("pitch", 60)`, `("rest", 0)`, `("hold", 0)`, `("step", 1)` and `("bar", 0)`, a
            token with which a bar begins; any other word is the plugin's own.
        begin: the token that stands before the first of every piece. It is in no array: models
            read it, and it is never drawn.
        end: the token after which a piece is over.
        grammar: which tokens may follow which; what it forbids no model gives a probability.
    """

    name: str = "tokens"
    size: int = 0
    step: GridStep | None = None
    # Not hashed, since a dict cannot be; layouts are still compared by it.
    meanings: Mapping[int, tuple[str, int]] = field(default_factory=dict, hash=False)
    begin: int | None = None
    end: int | None = None
    grammar: Grammar | None = None

    @property
    def restricted(self) -> bool:
        """Whether some tokens may not come everywhere."""
        return self.grammar is not None or self.begin is not None

    def bar_starts(self, steps: Array) -> IntArray:
        """Return where tokens stand that mean `bar`, and the first step where there are any."""
        import numpy as np

        starts = np.flatnonzero(np.isin(steps, sorted(self.tokens_of("bar"))))
        return np.union1d(starts, 0) if len(starts) else starts

    def tokens_of(self, meaning: str) -> dict[int, int]:
        """Return the tokens of a meaning, each with its number."""
        return {token: n for token, (what, n) in self.meanings.items() if what == meaning}
