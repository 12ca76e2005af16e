"""Metrics turn a trained model and pieces, or pieces alone, into named numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from musengine.config.fields import Config
from musengine.music.score import Score
from musengine.utils.progress import SILENT, ProgressReporter

if TYPE_CHECKING:
    from musengine.interfaces.encoder import EncodedPiece, Encoder
    from musengine.interfaces.model import Model

C = TypeVar("C", bound=Config)
T = TypeVar("T")


@dataclass(frozen=True)
class Reference:
    """Music to compare with, each part taken anew as often as wanted.

    Attributes:
        train: name and score of what models learn from.
        held_out: of music of the same kind that is not in it; nothing where none is known.
    """

    train: Callable[[], Iterable[tuple[str, Score]]]
    held_out: Callable[[], Iterable[tuple[str, Score]]]


NO_REFERENCE = Reference(tuple, tuple)


@dataclass(frozen=True)
class Evidence:
    """What a metric may look at; each metric takes what it needs.

    What takes long and several metrics want, such as `predictions` of
    `musengine.evaluation.likelihood`, is asked for through `once`.

    Attributes:
        model: the trained model, on its device, in evaluation mode.
        encoder: what encoded the pieces.
        part: the encoded pieces of the split in question; none for a metric of pieces.
        part_name: `train`, `valid` or `test`; `generated` for a metric of pieces.
        generated: for a metric of pieces, the generated ones, name and score.
        reference: for a metric of pieces, the music that was learned from and that was held out,
            as the encoder gives it back, so that both are on one grid.
        reporter: asked now and then to say that the work goes on.
    """

    model: Model[Any]
    encoder: Encoder[Any]
    part: Sequence[EncodedPiece]
    part_name: str
    generated: Sequence[tuple[str, Score]] = ()
    reference: Reference = NO_REFERENCE
    reporter: ProgressReporter = SILENT
    # By the function itself; of a frozen dataclass the dict inside may still change.
    _known: dict[Callable[[Evidence], Any], Any] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def once(self, work: Callable[[Evidence], T]) -> T:
        """Return what a function makes of this; done for the first metric, kept for the others.

        Args:
            work: a function that every metric names alike, not one made anew each time.
        """
        if work not in self._known:
            self._known[work] = work(self)
        found: T = self._known[work]
        return found

    def know(self, work: Callable[[Evidence], T], found: T) -> None:
        """Keep what a function would make of this, where it was made in another way."""
        self._known[work] = found


class Metric(ABC, Generic[C]):
    """Measures something and names the figures."""

    def __init__(self, config: C) -> None:
        self.config = config

    @abstractmethod
    def measure(self, evidence: Evidence) -> Mapping[str, Any]:
        """Return figures by name; an empty mapping where the metric does not apply.

        A figure is a number. Beside it `NAME_low` and `NAME_high` give its confidence interval; a
        nested mapping holds details, such as a figure of each piece, and numbers with an interval
        as `{"mean": ..., "low": ..., "high": ...}`. Where a figure is not defined it is NaN.
        """
