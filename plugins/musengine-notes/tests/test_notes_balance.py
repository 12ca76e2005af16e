"""How much of a piece has come back while it is drawn, and what is added to copying for that."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from test_notes_model import encoder

from musengine_notes.form.balance import PULL, pull_of
from musengine_notes.layout import FIRST_PART
from musengine_notes.stepping import BarsNow, Past, read


def test_less_is_copied_where_more_has_come_back() -> None:
    # Bars alike by a quarter share 2/5 of their notes: 2 * .25 / (1 + .25) = .4. Of 16 notes that
    # count and 16 that stand for music in general, 16 + 6.4 of 32 were there before: .7, so that
    # bars would be alike by .7 / (2 - .7).
    heard = torch.tensor([[[0, 0], [16, 16], [16, 16]], [[48, 0], [0, 0], [9, 3]]])
    found = pull_of(heard, (0.25, 0.25, 0.0))
    little = 6.4 / 64  # of the second piece nothing has come back
    wanted = [
        [0.0, PULL * math.log(0.26 / (0.7 / 1.3 + 0.01)), 0.0],
        [PULL * math.log(0.26 / (little / (2 - little) + 0.01)), 0.0, 0.0],
    ]
    assert found.dtype == torch.float32
    assert np.allclose(found, wanted, atol=1e-6)


@pytest.mark.parametrize("bar", [16, 0])
def test_notes_that_were_there_bars_ago_are_counted(bar: int) -> None:
    layout = encoder(lags=(1, 2)).layout
    delays = torch.tensor(layout.delays)
    piano, rest, end = FIRST_PART + 1, 0, layout.end
    quarter = layout.delays.index(4)
    # Three bars of four notes; the second has two of the first, the third all of the first.
    pitches = [60, 62, 64, 65, 60, 63, 64, 66, 60, 62, 64, 65]
    events = [[quarter if k else 0, piano, pitch, 0, 0] for k, pitch in enumerate(pitches)]
    # A second note at once, a rest and the end, of which the note alone counts.
    events += [[0, piano, 70, 0, 0], [len(delays) - 1, rest, 0, 0, 0], [0, end, 0, 0, 0]]
    past = Past.empty(1, 2, torch.device("cpu"))
    length = torch.tensor([bar])
    for event in events:
        bars = BarsNow(length, torch.zeros_like(length))
        past = read(past, torch.tensor([event]), bars, layout, delays)
    # After one bar: four of eight and one new; of the second and third, 60 and 64 twice.
    assert past.heard.tolist() == ([[[9, 4], [5, 4]]] if bar else [[[0, 0], [0, 0]]])
