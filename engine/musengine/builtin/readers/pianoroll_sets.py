"""Piano-roll collections with official splits: `.npz` (bit-packed) and `.json` (lists of pitches).

The formats are described in docs/reference/rolls.md.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import pairwise
from typing import Any, get_args

import numpy as np

from musengine.builtin.configs import RollsReaderConfig
from musengine.errors import UnreadableError
from musengine.interfaces.reader import Item, Reader
from musengine.music.piece import Piece, SplitName
from musengine.music.score import Score
from musengine.music.timing import DEFAULT_BPM

MAX_BYTES = 2**27
"""Of a file, and of what an archive unpacks to, where eight pitches are a byte."""
MAX_PITCHES = 128


class RollsReader(Reader[RollsReaderConfig]):
    """Reads `{split: sequences}` files; every sequence is a piece of that official split."""

    def read(self, item: Item) -> Iterable[Piece]:
        """Return the pieces of all splits.

        Raises:
            UnreadableError: not a roll collection, or damaged.
        """
        if item.path.stat().st_size > MAX_BYTES:
            raise UnreadableError(f"larger than {MAX_BYTES} bytes", code="too-large")
        sequences = _from_npz if item.path.suffix.lower() == ".npz" else _from_json
        pieces = []
        try:
            for part, index, roll_TP, lowest in sequences(item):
                score = self._score(roll_TP, lowest)
                pieces.append(Piece(f"{item.id}#{part}-{index}", score, item.style, part))
        except UnreadableError:
            raise
        # Damaged archives and JSON make their parsers raise almost anything; each file stands
        # alone.
        except Exception as error:
            reason = str(error) or type(error).__name__
            raise UnreadableError(
                f"not a piano-roll collection: {reason}", code="not-a-piano-roll-set"
            ) from error
        return pieces

    def _score(self, roll_TP: np.ndarray[Any, Any], lowest: int) -> Score:
        size = self.config.step.size
        if self.config.step.unit == "seconds":
            size = size * Fraction(DEFAULT_BPM) / 60
        # One tick is the largest fraction of a beat that every step is a multiple of.
        ticks_per_beat, ticks_per_step = size.denominator, size.numerator
        # Silence before and after, so that every run of ones begins and ends. Signed, for the
        # difference.
        padded = np.pad(roll_TP.astype(np.int8), ((1, 1), (0, 0)))
        row, first = np.nonzero((np.diff(padded, axis=0) > 0).T)
        _, after = np.nonzero((np.diff(padded, axis=0) < 0).T)
        return Score.from_notes(
            onset=first * ticks_per_step,
            duration=(after - first) * ticks_per_step,
            pitch=row + lowest,
            ticks_per_beat=ticks_per_beat,
            length=len(roll_TP) * ticks_per_step,
        )


Sequence = tuple[SplitName, int, "np.ndarray[Any, Any]", int]


def _from_npz(item: Item) -> Iterator[Sequence]:
    with zipfile.ZipFile(item.path) as archive:
        # Before anything is unpacked: a few kilobytes may unpack to any size.
        if sum(entry.file_size for entry in archive.infolist()) > MAX_BYTES:
            raise UnreadableError(f"unpacks to more than {MAX_BYTES} bytes", code="too-large")
    with np.load(item.path, allow_pickle=False) as arrays:
        pitches, lowest = int(arrays["n_pitches"]), int(arrays["pitch_of_column_0"])
        if not (pitches > 0 and lowest >= 0 and lowest + pitches <= MAX_PITCHES):
            raise ValueError(f"{pitches} pitches from {lowest} leave the range 0 to 127")
        for part in get_args(SplitName):
            if part not in arrays:
                continue
            roll_TP = np.unpackbits(arrays[part], axis=1)[:, :pitches]
            if roll_TP.shape[1] != pitches:
                raise ValueError(f"{part} has {roll_TP.shape[1]} columns for {pitches} pitches")
            offsets = np.asarray(arrays[f"{part}_offsets"], dtype=np.int64)
            whole = len(offsets) > 0 and offsets[0] == 0 and offsets[-1] == len(roll_TP)
            if not whole or (np.diff(offsets) < 0).any():
                raise ValueError(f"{part}_offsets do not divide the {len(roll_TP)} steps")
            for index, (start, stop) in enumerate(pairwise(offsets.tolist())):
                yield part, index, roll_TP[start:stop], lowest


def _from_json(item: Item) -> Iterator[Sequence]:
    content = json.loads(item.path.read_text(encoding="utf-8"))
    if not isinstance(content, dict) or not set(content) & set(get_args(SplitName)):
        raise ValueError('expected {"train": [[[pitch, ...], ...], ...], ...}')
    for part in get_args(SplitName):
        for index, steps in enumerate(content.get(part, [])):
            # Before room is made for it: a step of two brackets takes as much as a full one.
            if len(steps) * MAX_PITCHES > 8 * MAX_BYTES:
                raise UnreadableError(
                    f"{part} sequence {index} has {len(steps)} steps, more than "
                    f"{8 * MAX_BYTES // MAX_PITCHES}",
                    code="too-large",
                )
            roll_TP = np.zeros((len(steps), MAX_PITCHES), dtype=np.uint8)
            for t, pitches in enumerate(steps):
                numbers = np.asarray(pitches, dtype=np.float64)
                # As float64, since JSON may hold 60.5, which an integer array would cut to 60 in
                # silence.
                if not np.isin(numbers, np.arange(MAX_PITCHES)).all() or numbers.ndim != 1:
                    raise ValueError(f"{part} sequence {index}: pitches must be 0 to 127")
                roll_TP[t, numbers.astype(np.int64)] = 1
            yield part, index, roll_TP, 0
