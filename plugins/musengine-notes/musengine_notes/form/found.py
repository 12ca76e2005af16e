"""What was found to be added to copying, kept with a run so that it is found once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from musengine.api import Array, Model


@dataclass
class FoundCopying:
    """What was added to copying so that as much came back as in the training part.

    Attributes:
        entries: by the weights' digest, how is drawn (two numbers of a sampler's), and the grid
            steps of a bar; (lags,) each.
    """

    entries: dict[tuple[int, float, float, int], Tensor] = field(default_factory=dict)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> FoundCopying:
        """Return what arrays hold, nothing where they are not there.

        Raises:
            ValueError: they are not of it.
        """
        if "copying" not in arrays:
            return cls()
        weights, ways, found = (arrays[name] for name in ("weights", "ways", "copying"))
        # The file is a stranger's, perhaps: a wrong shape would end in the middle of a draw.
        if weights.ndim != 1 or ways.shape != (len(weights), 3) or found.shape[:-1] != (len(ways),):
            raise ValueError("no table of what is added to copying")
        if not (np.isfinite(ways).all() and np.isfinite(found).all()):
            raise ValueError("what is added to copying is not finite")
        return cls(
            {
                (int(digest), float(way[0]), float(way[1]), int(way[2])): torch.from_numpy(row)
                for digest, way, row in zip(weights, ways, found.astype(np.float32), strict=True)
            }
        )

    def as_arrays(self) -> dict[str, Array]:
        """Return the arrays that hold it, none where it is empty."""
        if not self.entries:
            return {}
        return {
            "weights": np.array([key[0] for key in self.entries], dtype=np.uint64),
            "ways": np.array([key[1:] for key in self.entries], dtype=np.float64),
            "copying": np.stack([row.numpy() for row in self.entries.values()]),
        }


def digest_of(model: Model[Any]) -> int:
    """Return a number that tells weights apart."""
    digest = hashlib.blake2b(digest_size=8)
    for weights in model.state_dict().values():
        # As bytes, since NumPy knows no bfloat16.
        digest.update(weights.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return int.from_bytes(digest.digest(), "little")
