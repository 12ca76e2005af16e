"""Stretches of pieces: where no piece can be spared, the end of each is held out."""

from __future__ import annotations

from collections.abc import Iterable

from musengine.interfaces.encoder import Encoded, EncodedPiece
from musengine.music.score import SplitName
from musengine.pipeline.sections import CorpusConfig


class PieceSpan(EncodedPiece):
    """Some steps of a piece in a row; its arrays are cut out when they are asked for."""

    _whole: EncodedPiece
    _steps: slice

    def __init__(self, whole: EncodedPiece, start: int, stop: int) -> None:
        attributes = {
            "id": whole.id if start == 0 else f"{whole.id}@{start}",
            "fingerprint": f"{whole.fingerprint}@{start}-{stop}",
            "_whole": whole,
            "_steps": slice(start, stop),
        }
        for attribute, value in attributes.items():
            object.__setattr__(self, attribute, value)

    @property
    def encoded(self) -> Encoded:
        """The arrays of these steps."""
        whole, steps = self._whole.encoded, self._steps
        channels = {name: channel[steps] for name, channel in whole.conditioning.items()}
        return Encoded(whole.steps[steps], channels, whole.dropped)

    def __len__(self) -> int:
        return int(self._steps.stop - self._steps.start)


def split_within(
    pieces: Iterable[EncodedPiece], copies: Iterable[EncodedPiece], config: CorpusConfig
) -> dict[SplitName, list[EncodedPiece]]:
    """Return the parts where the end of every piece is held out: first validation, then test.

    Args:
        pieces: as they are.
        copies: transposed; of these too only the beginnings are trained on.
        config: the shares.
    """
    parts: dict[SplitName, list[EncodedPiece]] = {"train": [], "valid": [], "test": []}
    for piece in pieces:
        valid, test, end = _cuts(piece, config)
        parts["train"].append(PieceSpan(piece, 0, valid))
        parts["valid"] += [PieceSpan(piece, valid, test)] * (valid < test)
        parts["test"] += [PieceSpan(piece, test, end)] * (test < end)
    parts["train"] += [PieceSpan(copy, 0, _cuts(copy, config)[0]) for copy in copies]
    return parts


def _cuts(piece: EncodedPiece, config: CorpusConfig) -> tuple[int, int, int]:
    """Return the steps at which the validation part and the test part begin, and the end."""
    steps = len(piece)
    test = round(steps * (1 - config.share("test")))
    valid = round(steps * (1 - config.share("test") - config.share("valid")))
    return max(valid, min(steps, 1)), max(test, min(steps, 1)), steps
