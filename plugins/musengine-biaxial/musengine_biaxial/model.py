"""The biaxial LSTM (after Johnson 2015): along time for every note, then from note to note."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from musengine.api import (
    Batch,
    Draw,
    Grid,
    GridDraw,
    LayerTrace,
    Layout,
    LSTMStack,
    Model,
    Output,
    Proposal,
    Recorded,
    StackState,
    onset_weights,
)
from musengine_biaxial.config import BiaxialConfig
from musengine_biaxial.features import Features
from musengine_biaxial.note_loop import draw_along

AT_ONCE = 2**16
"""Notes of steps that are looked at together where nothing is learned; bounds the memory."""

UNITS = ("piece", "step", "note", "unit")

PLAYED = -3.0
"""The modern start of the bias of play, in logits: about one note in twenty sounds."""


class Biaxial(Model[BiaxialConfig]):
    """Predicts the notes of the next step one after the other, the lowest first.

    Layers along time run once for each note, with the same weights, and read the note's
    surroundings in the step before. Layers along the notes run once for each step, and read
    what those gave and what was chosen for the note below. Its state is that of the layers along
    time, (pieces, notes, units) each.
    """

    def __init__(self, config: BiaxialConfig, layout: Layout) -> None:
        super().__init__(config, layout)
        assert isinstance(layout, Grid)
        self.grid = layout
        channels = len(layout.channels)
        self.features = Features(config, layout)
        self.time = self._stack(self.features.width, config.time_layers)
        self.note = self._stack(config.time_layers[-1] + channels, config.note_layers)
        self.output = nn.Linear(config.note_layers[-1], channels)
        self._initialise()

    def _stack(self, inputs: int, units: tuple[int, ...]) -> LSTMStack:
        config = self.config
        return LSTMStack(
            inputs, units, candidate=config.candidate, dropout=config.dropout, start=config.start
        )

    def _initialise(self) -> None:
        """Draw the weights as the settings say, and a fixed start."""
        layers = [*self.time.typed_layers, *self.note.typed_layers]
        if self.config.initialisation == "classic":
            for layer in layers:
                for weight in (layer.input_weight, layer.hidden_weight, layer.bias):
                    nn.init.normal_(weight, 0.0, 1 / layer.units)
            nn.init.normal_(self.output.weight, 0.0, 1 / self.output.out_features)
            nn.init.normal_(self.output.bias, 0.0, 1 / self.output.out_features)
        else:
            with torch.no_grad():
                # Else the first steps of training only learn that most notes are silent.
                self.output.bias[0] = PLAYED
        for layer in layers:
            if self.config.start == "fixed" and layer.start is not None:
                nn.init.normal_(layer.start, 0.0, 1 / layer.units)

    def forward(self, batch: Batch) -> Output:
        """Return logits for every step of a batch, the notes chosen below each taken as given."""
        state: StackState | None = batch.carried
        state = self.start(len(batch.steps)) if state is None else self._fresh(batch.reset, state)
        logits, state = self._read(batch, state)
        return Output(
            logits=logits,
            targets=batch.targets,
            mask=batch.mask,
            weights=onset_weights(batch.targets, self.layout),
            state=state,
        )

    def _read(self, batch: Batch, state: StackState) -> tuple[Tensor, StackState]:
        """Return all logits and the state after; in stretches where no gradient is wanted."""
        pieces, steps = batch.mask.shape
        length = steps
        if not torch.is_grad_enabled():
            # In training all is needed at once for the gradient.
            length = max(AT_ONCE // (pieces * self.grid.pitches), 1)
        logits = []
        for first in range(0, steps, length):
            here = slice(first, first + length)
            conditioning = {name: channel[:, here] for name, channel in batch.conditioning.items()}
            hidden, state = self._along_time(batch.inputs[:, here], conditioning, state)
            logits.append(self._along_notes(hidden, batch.targets[:, here]))
        return torch.cat(logits, dim=1), state

    def _along_time(
        self, before: Tensor, conditioning: Mapping[str, Tensor], state: StackState
    ) -> tuple[Tensor, StackState]:
        """Return what the layers along time give, (T, B, N, units), and their state after.

        Args:
            before: (B, T, N, C) for each step to predict the one before it.
            conditioning: of the steps to predict, (B, T, ...).
            state: (B, N, units) tensors.
        """
        pieces, _, notes, _ = before.shape
        after = self.time(self._time_input(before, conditioning), _rows(state))
        hidden_TBNU = after.last.transpose(0, 1).unflatten(1, (pieces, notes))
        return hidden_TBNU, _unrowed(after.state, notes)

    def _along_notes(self, hidden_TBNU: Tensor, targets: Tensor) -> Tensor:
        """Return logits (B, T, N, C), the targets (B, T, N, C) below each note taken as given."""
        steps, pieces, _, _ = hidden_TBNU.shape
        last: Tensor = self.note(self._told_note(hidden_TBNU, targets)).last  # (T * B, N, units)
        if self.training and self.config.dropout > 0:
            last = self.note.dropped(last)
        logits: Tensor = self.output(last).to(self.output.weight.dtype)
        return logits.view(steps, pieces, *logits.shape[1:]).transpose(0, 1)

    def _time_input(self, before: Tensor, conditioning: Mapping[str, Tensor]) -> Tensor:
        """Return the input of the layers along time, (B * N, T, features)."""
        beat = conditioning.get("beat")
        # Time comes first in memory, as the layers run along it; they take the transposed view.
        told_TBNF: Tensor = self.features(
            before.transpose(0, 1), None if beat is None else beat.transpose(0, 1)
        )
        return told_TBNF.flatten(1, 2).transpose(0, 1)

    def _told_note(self, hidden_TBNU: Tensor, targets: Tensor) -> Tensor:
        """Return the input of the layers along the notes, (T * B, N, units + C)."""
        # Notes first in memory, as these layers run along them.
        chosen_NTBC = targets.permute(2, 1, 0, 3).to(hidden_TBNU.dtype)
        # Shifted by one note: each reads what was chosen below it, the lowest reads zeros.
        below_NTBC = torch.cat([torch.zeros_like(chosen_NTBC[:1]), chosen_NTBC[:-1]])
        told_NTBI = torch.cat([hidden_TBNU.permute(2, 0, 1, 3), below_NTBC], dim=-1)
        return told_NTBI.flatten(1, 2).transpose(0, 1)

    def _fresh(self, reset_B: Tensor, state: StackState) -> StackState:
        notes = self.grid.pitches
        # One row of the layers for each note of each piece, those of a piece one after the other.
        fresh = self.time.fresh_where(reset_B.repeat_interleave(notes), _rows(state))
        return _unrowed(fresh, notes)

    def start(self, pieces: int) -> StackState:
        """Return the initial state."""
        notes = self.grid.pitches
        return _unrowed(self.time.initial_state(pieces * notes), notes)

    def step(
        self, last: Tensor | None, state: StackState, conditioning: Mapping[str, Tensor]
    ) -> tuple[Tensor, StackState]:
        """Read one step; returns what the layers along time give, (N, notes, units)."""
        if last is None:
            last = torch.zeros(
                (len(state[0][0]), *self.layout.step_shape), device=self.output.weight.device
            )
        features = self.features(last, conditioning.get("beat"))
        after = self.time.step(features.flatten(0, 1), _rows(state))
        notes = self.grid.pitches
        return _apart(after.last, notes), _unrowed(after.state, notes)

    def propose(self, context: Tensor, draw: Draw) -> Proposal:
        """Choose the notes of a step from the lowest up, each bearing on those above it."""
        assert isinstance(draw, GridDraw)
        thresholds = draw.thresholds.to(context.dtype)
        return Proposal(*draw_along(self.note, self.output, context, thresholds))

    def record(self, batch: Batch) -> Mapping[str, Recorded]:
        """Return hidden states and cells of all layers, and the probabilities.

        `time.K.hidden`, `time.K.cell`, `note.K.hidden` and `note.K.cell` are (pieces, steps, notes,
        units) for layer K from 0 up, `probabilities` is (pieces, steps, notes, channels).
        """
        pieces, steps, notes, _ = batch.targets.shape
        recorded: dict[str, Recorded] = {}

        def keep(axis: str, layers: list[LayerTrace], apart: Callable[[Tensor], Tensor]) -> Tensor:
            for k, layer in enumerate(layers):
                for name, values in zip(("hidden", "cell"), layer, strict=True):
                    recorded[f"{axis}.{k}.{name}"] = Recorded(apart(values), UNITS)
            return recorded[f"{axis}.{len(layers) - 1}.hidden"].values

        features = self._time_input(batch.inputs, batch.conditioning)
        layers = self.time.trace(features, _rows(self.start(pieces)))
        heard = keep("time", layers, lambda v: v.view(pieces, notes, steps, -1).transpose(1, 2))
        layers = self.note.trace(self._told_note(heard.transpose(0, 1), batch.targets))
        last = keep("note", layers, lambda v: v.view(steps, pieces, notes, -1).transpose(0, 1))
        shares = torch.sigmoid(self.output(last))
        return recorded | {"probabilities": Recorded(shares, (*UNITS[:-1], "channel"))}

    def prefill(
        self, prompt: Tensor, state: StackState, conditioning: Mapping[str, Tensor]
    ) -> StackState:
        """Read a prompt in one pass, all but its last step."""
        before = torch.cat([torch.zeros_like(prompt[:, :1]), prompt[:, :-1]], dim=1)
        return self._along_time(before, conditioning, state)[1]


def _rows(state: StackState) -> StackState:
    """Return the state with the notes of all pieces one after the other, (B * N, units)."""
    return tuple((hidden.flatten(0, 1), cell.flatten(0, 1)) for hidden, cell in state)


def _unrowed(state: StackState, notes: int) -> StackState:
    """Return the state with an axis of its own for the notes, (B, N, units)."""
    return tuple((_apart(hidden, notes), _apart(cell, notes)) for hidden, cell in state)


def _apart(rows: Tensor, notes: int) -> Tensor:
    return rows.view(-1, notes, rows.shape[1])
