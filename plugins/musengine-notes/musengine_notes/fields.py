"""The distribution of one note, field by field, with what was expected to copy from.

For the field f with the trunk's output h, the fields drawn before it e_1 .. e_(f-1), and the place
q of the note in its bar, which is known with its delay,

    z_f = gelu(A_f h + sum over g < f of E_fg[e_g] + Q_f[q] + a_f)
    logit_f(v) = V_f[v] z_f + v_f[v] + sum over lags l of c_fl(z_f) [l agrees, and expects v]
    c_fl(z) = w_fl z + r_fl[run of l]

where a lag agrees as long as it expected all fields drawn so far. The likelihood of a note is the
product of those of its fields; what the grammar forbids has none.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from musengine_notes.config import NotesModelConfig
from musengine_notes.grammar import Grammar
from musengine_notes.layout import DELAY, EXPECTED, FIELDS, LONGEST_RUN, NoteEvents

NEVER = -1e9
"""The logit of what is forbidden: so low that its probability is 0 exactly, yet finite."""


@dataclass(frozen=True)
class Returned:
    """How much is to come back of N pieces, and how much has.

    Attributes:
        bar: (N,) grid steps of the bar in which as much is to come back as in the training part,
            0 where there are none, -1 where nothing is to be added.
        heard: (N, lags, 2) notes that came so many bars after the first, and those of them that had
            been there so many bars before.
    """

    bar: Tensor
    heard: Tensor


@dataclass(frozen=True)
class FieldLogits:
    """What a field of N notes is drawn from.

    Attributes:
        field: its name.
        logits: (N, size), what is forbidden at `NEVER`.
        expected: (N, lags) the value that each lag expects.
        agrees: (N, lags) bool, whether it expected the fields drawn so far.
        returned: how much is to come back, and has.
        exact: it is to be drawn by these probabilities, whatever the sampler makes of others.
    """

    field: str
    logits: Tensor
    expected: Tensor
    agrees: Tensor
    returned: Returned
    exact: bool = False

    def with_copying(self, more: Tensor) -> Tensor:
        """Return the logits with (N, lags) added to what each lag expects, as long as it agrees."""
        added = (more * self.agrees).to(self.logits.dtype)
        return self.logits.scatter_add(1, self.expected, added)


class NoteFields(nn.Module):
    """Five small nets, one for each field."""

    def __init__(self, config: NotesModelConfig, layout: NoteEvents) -> None:
        super().__init__()
        self.layout, self.width = layout, config.hidden
        self.lags = len(layout.lags) if config.form else 0
        sizes = layout.sizes
        self.grammar = Grammar(layout)
        # A_f of all fields in one product.
        self.hidden = nn.Linear(config.width, len(FIELDS) * config.hidden)
        # Rows for the values of the fields before, one after another, and for the places.
        self.offsets = [sum(sizes[:field]) for field in range(len(FIELDS))]
        tables = [
            # The sum of E_fg[e_g] and Q_f[q] as one look-up: a bag adds rows of one table.
            nn.EmbeddingBag(sum(sizes[:field]) + layout.places, config.hidden, mode="sum")
            for field in range(1, len(FIELDS))
        ]
        for table in tables:
            nn.init.normal_(table.weight, std=0.5)
        self.before = nn.ModuleList(tables)
        self.outputs = nn.ModuleList(nn.Linear(config.hidden, size) for size in sizes)
        if self.lags:
            bonus = [nn.Linear(config.hidden, self.lags) for _ in FIELDS]
            for layer in bonus:
                # Copying begins at nothing, so that it is learned where it helps.
                nn.init.zeros_(layer.weight)
            self.bonus = nn.ModuleList(bonus)
            self.by_run = nn.Parameter(torch.zeros(len(FIELDS), self.lags, LONGEST_RUN + 2))

    def nll(
        self,
        trunk: Tensor,
        target: Tensor,
        before: Tensor,
        begins: Tensor,
        place: Tensor,
        lookback: Tensor,
    ) -> Tensor:
        """Return (N,) nats of whole notes.

        Args:
            trunk: (N, width).
            target: (N, 5).
            before: (N, 5) the events before.
            begins: (N,) True where there is none.
            place: (N,) of the targets in their bars.
            lookback: (N, lags, 6).
        """
        hidden = self.hidden(trunk).chunk(len(FIELDS), dim=-1)
        # Sums of five logarithms are not left to bfloat16.
        total = trunk.new_zeros(len(trunk), dtype=_at_least_float32(trunk.dtype))
        for field in range(len(FIELDS)):
            logits = self._logits(field, hidden[field], target, place, lookback)
            logits = self._masked(logits, field, target, before, begins)
            total = total + functional.cross_entropy(logits, target[:, field], reduction="none")
        return total

    def field(
        self,
        field: int,
        hidden: Tensor,
        drawn: Tensor,
        before: Tensor,
        begins: Tensor,
        place: Tensor,
        lookback: Tensor,
        returned: Returned,
    ) -> FieldLogits:
        """Return what one field is drawn from, given the fields drawn before; as in `nll`."""
        logits = self._logits(field, hidden, drawn, place, lookback)
        logits = self._masked(logits, field, drawn, before, begins)
        expected, agrees = self._expected(field, drawn, lookback)
        return FieldLogits(FIELDS[field], logits, expected, agrees, returned)

    def _masked(
        self, logits: Tensor, field: int, drawn: Tensor, before: Tensor, begins: Tensor
    ) -> Tensor:
        logits = logits.to(_at_least_float32(logits.dtype))
        return logits.masked_fill(self.grammar(field, drawn, before, begins), NEVER)

    def _logits(
        self, field: int, hidden: Tensor, drawn: Tensor, place: Tensor, lookback: Tensor
    ) -> Tensor:
        """Return (N, size), copying included."""
        if field != DELAY:
            offsets = torch.tensor(self.offsets[:field], device=drawn.device)
            places = place.clamp(0, self.layout.places - 1) + self.offsets[field]
            rows = torch.cat([drawn[:, :field] + offsets, places[:, None]], dim=1)
            hidden = hidden + self.before[field - 1](rows)
        z = functional.gelu(hidden)
        logits: Tensor = self.outputs[field](z)
        if not self.lags:
            return logits
        expected, agrees = self._expected(field, drawn, lookback)
        runs = lookback[..., EXPECTED]
        # c_fl(z): (N, lags). `by_run` is (fields, lags, runs), of which each note takes its own
        # run's column.
        bonus = self.bonus[field](z) + self.by_run[field].gather(1, runs.t()).t()
        # Where several lags expect one value, each adds to it.
        return logits.scatter_add(1, expected, (bonus * agrees).to(logits.dtype))

    def _expected(self, field: int, drawn: Tensor, lookback: Tensor) -> tuple[Tensor, Tensor]:
        """Return (N, lags) each: what is expected, and whether the lag agrees so far."""
        lookback = lookback[:, : self.lags]
        so_far = lookback[..., :field] == drawn[:, None, :field]
        return lookback[..., field], (lookback[..., EXPECTED] > 0) & so_far.all(dim=-1)


def _at_least_float32(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)
