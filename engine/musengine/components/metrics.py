"""Metrics turn a trained model and pieces, or pieces alone, into named numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from musengine.config import Config
from musengine.score import Score, Text

if TYPE_CHECKING:
    from musengine.components.encoders import EncodedPiece, Encoder
    from musengine.components.models import Model

C = TypeVar("C", bound=Config)


@dataclass(frozen=True)
class Evidence:
    """What a metric may look at; each metric takes what it needs.

    Attributes:
        model: the trained model, on its device, in evaluation mode.
        encoder: what encoded the pieces.
        part: the encoded pieces of the split in question.
        part_name: `train`, `valid` or `test`.
        generated: generated pieces, if there are any yet.
    """

    model: Model[Any]
    encoder: Encoder[Any]
    part: Sequence[EncodedPiece]
    part_name: str
    generated: Sequence[Score | Text] = ()


class Metric(ABC, Generic[C]):
    """Measures something and names the figures."""

    def __init__(self, config: C) -> None:
        self.config = config

    @abstractmethod
    def measure(self, evidence: Evidence) -> Mapping[str, float]:
        """Return figures by name; an empty mapping where the metric does not apply."""
