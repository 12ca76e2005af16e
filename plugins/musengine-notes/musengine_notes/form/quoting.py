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
    pitch: FieldLogits,
    quoting: Tensor,
    watch: CopyWatch,
    drawn: Mapping[str, Tensor],
) -> FieldLogits:
    """Return the logits with something added to the pitches that go on with a run.

    Where a run would be too long these are forbidden, if others are left; so is a pitch that goes
    on with a loop that is barred.

    Args:
        pitch: of N pieces.
        quoting: (N,) what is added.
        watch: follows the runs and the loops.
        drawn: (N,) the delays and parts of the notes.
    """
    long_N = watch.run_N >= watch.limits.copied
    # Before the eighth note there is no run.
    added_N = np.where(watch.known_N >= GRAM - 1, quoting.cpu().numpy(), np.float32(0))
    round_N = watch.loops.barred().any(axis=1)
    rows = np.flatnonzero(long_N | round_N | (added_N != 0))
    if not len(rows):
        return pitch
    delay, part = (drawn[FIELDS[field]].cpu().numpy()[rows] for field in (DELAY, PART))
    size = pitch.logits.shape[1]
    runs = watch.going_on(rows, delay, part, size)
    barred = runs & long_N[rows, None]
    barred |= watch.going_round(rows, delay, part, size)
    # Nothing is added where a run has come to its end.
    added = runs * np.where(long_N, np.float32(0), added_N)[rows, None]
    logits = pitch.logits.clone()
    places, more, never = (
        torch.from_numpy(each).to(logits.device) for each in (rows, added, barred)
    )
    changed = logits[places] + more.to(logits.dtype)
    others = changed.masked_fill(never, NEVER)
    # Half of it, as something may have been added to a logit at NEVER.
    left = others.amax(dim=-1, keepdim=True) > NEVER / 2
    logits[places] = torch.where(left, others, changed)
    return replace(pitch, logits=logits)
