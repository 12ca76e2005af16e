"""What was found to be added to copying and quoting, kept with a run so that it is found once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from musengine.api import Array, Model
from musengine_notes.config import NotesSamplerConfig
from musengine_notes.form.balance import PULL


@dataclass
class FoundAdditions:
    """What was added so that as much came back, and as much was quoted, as in people's pieces.

    Attributes:
        entries: by a digest of the weights and of how is drawn, and the grid steps of a bar;
            (lags + 1,) each.
    """

    entries: dict[tuple[int, int], Tensor] = field(default_factory=dict)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> FoundAdditions:
        """Return what arrays hold, nothing where they are not there.

        Raises:
            ValueError: they are not of it.
        """
        if "added" not in arrays:
            return cls()
        digests, bars, added = (arrays[name] for name in ("digests", "added_in", "added"))
        # The file is a stranger's, perhaps: a wrong shape would end in the middle of a draw.
        if bars.ndim != 1 or digests.shape != bars.shape or added.shape[:-1] != bars.shape:
            raise ValueError("no table of what is added to copying")
        if not np.isfinite(added).all():
            raise ValueError("what is added to copying is not finite")
        return cls(
            {
                (int(digest), int(bar)): torch.from_numpy(row)
                for digest, bar, row in zip(digests, bars, added.astype(np.float32), strict=True)
            }
        )

    def as_arrays(self) -> dict[str, Array]:
        """Return the arrays that hold it, none where it is empty."""
        if not self.entries:
            return {}
        return {
            "digests": np.array([digest for digest, _ in self.entries], dtype=np.uint64),
            "added_in": np.array([bar for _, bar in self.entries], dtype=np.int64),
            "added": np.stack([row.numpy() for row in self.entries.values()]),
        }


def digest_of(model: Model[Any], config: NotesSamplerConfig, longest_loop: int) -> int:
    """Return a number that tells weights and ways of drawing apart."""
    way = (config.temperature, config.top_p, config.copy, config.quote, longest_loop, PULL)
    digest = hashlib.blake2b(repr(way).encode(), digest_size=8)
    for weights in model.state_dict().values():
        # As bytes, since NumPy knows no bfloat16.
        digest.update(weights.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return int.from_bytes(digest.digest(), "little")
