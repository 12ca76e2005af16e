"""What may be asked of new music beside its length, and what leads draws past given notes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from musengine.utils.by_value import ByValue

if TYPE_CHECKING:
    from musengine.config.quantities import Key
    from musengine.interfaces.encoder import Encoded
    from musengine.music.score import Score
    from musengine.utils.arrays import Array


@dataclass(frozen=True, repr=False, eq=False)
class Steering(ByValue):
    """What is asked of the notes that are drawn.

    Attributes:
        instruments: which may play, by the names that people give them; empty for any.
        density: how many notes are wanted in a bar; None for as many as the model draws.
        key: of whose scale they are; None for any.
    """

    instruments: tuple[str, ...] = ()
    density: float | None = None
    key: Key | None = None

    def __bool__(self) -> bool:
        return self != Steering()


@dataclass(frozen=True, repr=False, eq=False)
class Infill(ByValue):
    """A passage of a piece that is made anew.

    Attributes:
        score: the piece, without the notes that new ones take the place of.
        first: the tick from which on new notes begin.
        after: the tick before which they begin.
        tracks: the indices of the tracks that they are for.
        added: the instrument that they are for, which is no track yet; empty where they are for
            `tracks`.
        steering: what else is asked of them.
    """

    score: Score
    first: int
    after: int
    tracks: tuple[int, ...] = ()
    added: str = ""
    steering: Steering = field(default_factory=Steering)


@dataclass(frozen=True, repr=False, eq=False)
class Passage(ByValue):
    """A passage as it was drawn, and what it stands among.

    Attributes:
        score: the new notes, in the ticks of the piece; its tracks are the piece's, in their order,
            and then those that are new.
        whole: the piece up to some bars after the passage, the new notes among those given.
        given: (T,) bool, True for the steps of `whole` that were given, from where the passage
            begins: the likelier they are, the better the passage suits them.
    """

    score: Score
    whole: Encoded
    given: Array


class Guide(ABC):
    """Leads the draws of N passages, side by side, past the notes that are given.

    Attributes:
        prompt: what goes before the passages, possibly no steps.
    """

    prompt: Encoded

    @property
    @abstractmethod
    def over(self) -> bool:
        """Whether all passages have come to their end."""

    @abstractmethod
    def conditioning(self) -> Mapping[str, Array]:
        """Return the conditioning channels of the coming step, (N, ...) each."""

    @abstractmethod
    def settle(self, choice: Array) -> Array:
        """Return the (N, ...) steps that are taken: those drawn, or given ones in their place."""

    @abstractmethod
    def passage(self, number: int) -> Passage:
        """Return one of the passages, once they are over."""
