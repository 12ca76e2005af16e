"""Stretches of pieces: where no piece can be spared, the end of each is held out."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping

from musengine.interfaces.encoder import Encoded, EncodedPiece
from musengine.music.piece import SplitName, Text
from musengine.music.prevailing import Prevailing
from musengine.music.score import Score
from musengine.pipeline.sections import CorpusConfig

ReadContent = Callable[[], Score | Text | None]


def _unknown() -> None:
    """Stand for music that nobody can read again."""


class PieceSpan(EncodedPiece):
    """Some steps of a piece in a row; its arrays are cut out when they are asked for.

    Attributes:
        whole_piece: what it is a stretch of.
        start: its first step.
        stop: the step after its last.
        content: reads the music of the whole piece; None where that is not at hand any more.
    """

    whole_piece: EncodedPiece
    start: int
    stop: int
    content: ReadContent

    def __init__(
        self, whole: EncodedPiece, start: int, stop: int, content: ReadContent = _unknown
    ) -> None:
        attributes = {
            "id": whole.id if start == 0 else f"{whole.id}@{start}",
            "fingerprint": f"{whole.fingerprint}@{start}-{stop}",
            "whole_piece": whole,
            "start": start,
            "stop": stop,
            "content": content,
        }
        for attribute, value in attributes.items():
            # The base class is a frozen dataclass, whose field `encoded` is a property here.
            object.__setattr__(self, attribute, value)

    @property
    def encoded(self) -> Encoded:
        """The arrays of these steps."""
        whole, steps = self.whole_piece.encoded, slice(self.start, self.stop)
        channels = {name: channel[steps] for name, channel in whole.conditioning.items()}
        return Encoded(whole.steps[steps], channels, whole.dropped)

    @property
    def prevailing(self) -> Prevailing:
        """What holds for most of the piece; of a stretch amid it that is not known."""
        return Prevailing() if self.start else self.whole_piece.prevailing

    def __len__(self) -> int:
        return self.stop - self.start


def split_within(
    pieces: Iterable[EncodedPiece],
    copies: Iterable[EncodedPiece],
    config: CorpusConfig,
    contents: Mapping[str, ReadContent],
) -> dict[SplitName, list[EncodedPiece]]:
    """Return the parts where the end of every piece is held out: first validation, then test.

    Args:
        pieces: as they are.
        copies: transposed; of these too only the beginnings are trained on.
        config: the shares.
        contents: for the id of a piece, what reads its music.
    """
    parts: dict[SplitName, list[EncodedPiece]] = {"train": [], "valid": [], "test": []}
    for piece in pieces:
        valid, test, end = _cuts(piece, config)
        span = functools.partial(PieceSpan, piece, content=contents[piece.id])
        # The end is held out, not the beginning: a model reads a piece from its beginning.
        parts["train"].append(span(0, valid))
        parts["valid"] += [span(valid, test)] * (valid < test)
        parts["test"] += [span(test, end)] * (test < end)
    parts["train"] += [PieceSpan(copy, 0, _cuts(copy, config)[0]) for copy in copies]
    return parts


def _cuts(piece: EncodedPiece, config: CorpusConfig) -> tuple[int, int, int]:
    """Return the steps at which the validation part and the test part begin, and the end."""
    steps = len(piece)
    test = round(steps * (1 - config.share("test")))
    valid = round(steps * (1 - config.share("test") - config.share("valid")))
    # At least one step is left to train on.
    return max(valid, min(steps, 1)), max(test, min(steps, 1)), steps
