"""Several notes drawn in one call of the engine's compiled loop, as step by step.

Of the recurrent trunk, in float32 on a processor, and where nothing is asked of the notes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from musengine.api import (
    NoteBars,
    NoteDraws,
    NoteLoop,
    NotePast,
    NoteRules,
    NoteWeights,
    Proposal,
)
from musengine_notes.copies import CopyWatch
from musengine_notes.form.balance import PULL
from musengine_notes.layout import BAR, FIELDS, PART
from musengine_notes.nucleus import Nucleus
from musengine_notes.steering.slots import asked_in
from musengine_notes.stepping import Past
from musengine_notes.trunks import RecurrentTrunk

if TYPE_CHECKING:
    from musengine_notes.model import NoteModel


@dataclass(frozen=True)
class NotesAhead:
    """How the notes to come are drawn, whatever they will be.

    Attributes:
        chooser: draws each field.
        numbers: returns (N, T, 5) in [0, 1), taken once the steps are drawn.
        more: returns (N, T, lags + 1) added in bars of (N, T) grid steps: to copying, for so many
            lags, and to quoting.
        watch: what follows copied runs and loops, if anything.
        returns: returns (lags,) how much of a piece is to come back, None for any share.
    """

    chooser: Nucleus
    numbers: Callable[[], Tensor]
    more: Callable[[Tensor, int], Tensor]
    watch: CopyWatch | None = None
    returns: Callable[[int], tuple[float, ...] | None] = lambda lags: None


class NotesLoop:
    """The compiled loop of a model.

    Args:
        model: whose weights it reads.
    """

    def __init__(self, model: NoteModel) -> None:
        self.model = model
        layout, grammar = model.notes, model.fields_out.grammar
        self.loop = NoteLoop(
            NoteRules(
                sizes=layout.sizes,
                delays=layout.delays,
                places=layout.places,
                lags=layout.lags[: model.lags],
                kinds=tuple(grammar.kinds.tolist()),
                forbidden=(grammar.pitches, grammar.durations, grammar.velocities),
                at_once=layout.at_once,
                pedal=layout.pedal,
                in_beats=layout.in_beats,
            ),
            # A method, not a closure: a copy of the model is read by a copy of this.
            self._weights,
        )

    def _weights(self) -> NoteWeights:
        return weights_of(self.model)

    def draw(
        self,
        last: Tensor | None,
        state: Any,
        conditioning: Mapping[str, Tensor],
        draw: NotesAhead,
    ) -> tuple[Proposal, Any] | None:
        """Return what `Model.choose_ahead` does."""
        model, trunk = self.model, self.model.trunk
        parameters = list(model.parameters())
        if (
            not isinstance(trunk, RecurrentTrunk)
            or asked_in(conditioning) is not None
            or not self.loop.usable(parameters, trunk.stack)
        ):
            return None
        stack_state, kept, fresh, pace = state
        past = Past(*kept)
        begun = last is not None
        if last is None:
            last = torch.zeros((len(fresh), len(FIELDS)), dtype=torch.int64)
        # What ends with its prompt, a whole piece, begins anew.
        begins = fresh & (last[:, PART] == model.notes.end) if begun else torch.ones_like(fresh)
        # The events are written to in place, as step by step; the rest belongs to the caller.
        after = NotePast(
            last.clone(memory_format=torch.contiguous_format),
            begins,
            past.key,
            past.fields,
            *(each.clone() for each in (past.count, past.time, past.expected)),
            *(each.clone() for each in (past.at_once, past.heard)),
        )
        bars = _bars(conditioning)
        watch, returns = draw.watch, draw.returns(model.lags)
        notes, logits, stack_state = self.loop.draw(
            parameters,
            stack_state,
            after,
            bars,
            NoteDraws(
                numbers=draw.numbers().contiguous(),
                more=draw.more(bars.length, model.lags).contiguous(),
                temperature=draw.chooser.temperature,
                top_p=draw.chooser.top_p,
                copies=None if watch is None else watch.runs(),
                returns=None if returns is None else torch.tensor(returns, dtype=torch.float64),
                pull=PULL,
            ),
            begun=begun,
        )
        told = tuple(getattr(after, name) for name in vars(past))
        return Proposal(notes, logits), (stack_state, told, torch.zeros_like(fresh), pace)


def _bars(conditioning: Mapping[str, Tensor]) -> NoteBars:
    start, ago = conditioning.get("bar_start"), conditioning.get("ago")
    return NoteBars(
        conditioning["metre"][..., BAR].long().contiguous(),
        None if start is None else start.long().contiguous(),
        None if ago is None else ago.long().contiguous(),
    )


def weights_of(model: NoteModel) -> NoteWeights:
    """Return the weights as the loop takes them."""
    fields, trunk = model.fields_out, model.trunk
    assert isinstance(trunk, RecurrentTrunk)
    outputs = [_linear(layer) for layer in fields.outputs]
    if model.lags:
        # What is added for each lag, from the same hidden layer, as more columns of one product.
        bonus = [_linear(layer) for layer in fields.bonus]
        outputs = [
            (torch.cat([weight, more[0]]), torch.cat([bias, more[1]]))
            for (weight, bias), more in zip(outputs, bonus, strict=True)
        ]
    before = [table.weight for table in fields.before if isinstance(table, nn.EmbeddingBag)]
    return NoteWeights(
        stack=trunk.stack,
        read=model.fields_in.weight,
        expected_in=model.expected_in.weight if model.lags else None,
        expected_out=model.expected_out.weight if model.lags else None,
        hidden=_linear(fields.hidden),
        before=before,
        outputs=outputs,
        by_run=fields.by_run if model.lags else None,
    )


def _linear(layer: nn.Module) -> tuple[Tensor, Tensor]:
    assert isinstance(layer, nn.Linear)
    return layer.weight, layer.bias
