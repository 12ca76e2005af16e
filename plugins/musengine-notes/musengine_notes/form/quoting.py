"""Pitches that go on with a run of the training music: likelier, less likely or impossible."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from musengine_notes.copies import GRAM, CopyWatch
from musengine_notes.fields import NEVER, FieldLogits
from musengine_notes.layout import DELAY, FIELDS, PART


def quoted(
    pitch: FieldLogits, quoting: Tensor, watch: CopyWatch, longest: int, drawn: Mapping[str, Tensor]
) -> FieldLogits:
    """Return the logits with something added to the pitches that go on with a run.

    Where a run would be too long these are forbidden, if others are left.

    Args:
        pitch: of N pieces.
        quoting: (N,) what is added.
        watch: follows the runs.
        longest: of those that may be copied.
        drawn: (N,) the delays and parts of the notes.
    """
    long_N = watch.run_N >= longest
    # Before the eighth note there is no run.
    added_N = np.where(watch.known_N >= GRAM - 1, quoting.cpu().numpy(), np.float32(0))
    rows = np.flatnonzero(long_N | (added_N != 0))
    if not len(rows):
        return pitch
    delay, part = (drawn[FIELDS[field]].cpu().numpy()[rows] for field in (DELAY, PART))
    runs = watch.going_on(rows, delay, part, pitch.logits.shape[1])
    logits = pitch.logits.clone()
    places, known, long, added = (
        torch.from_numpy(each).to(logits.device)
        for each in (rows, runs, long_N[rows], added_N[rows])
    )
    some = logits[places]
    others = some.masked_fill(known, NEVER)
    # Half of it, as something may have been added to a logit at NEVER.
    left = others.amax(dim=-1, keepdim=True) > NEVER / 2
    bounded = torch.where(left, others, some)
    changed = some + added[:, None].to(some.dtype) * known
    logits[places] = torch.where(long[:, None], bounded, changed)
    return replace(pitch, logits=logits)
