"""The recurrent models as anyone would write them first: nn.LSTM to learn, LSTMCell to draw.

What `recurrent.py` puts beside the models of the plugins; that of the biaxial net is in
`biaxial.py`, that of melody's windows in `melody.py`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


def cell_of(layer: nn.LSTM) -> nn.LSTMCell:
    """Return a cell with the weights of a layer."""
    cell = nn.LSTMCell(layer.input_size, layer.hidden_size)
    cell.load_state_dict({k.removesuffix("_l0"): v for k, v in layer.state_dict().items()})
    return cell


class Roll(nn.Module):
    """Layers that all see the input, and an output layer that sees them all, on a piano-roll.

    Args:
        notes: in a step.
        units: of each layer.
    """

    def __init__(self, notes: int, units: tuple[int, ...]) -> None:
        super().__init__()
        self.units = units
        below = (0, *units[:-1])
        self.layers = nn.ModuleList(
            nn.LSTM(notes + width, size, batch_first=True)
            for width, size in zip(below, units, strict=True)
        )
        self.output = nn.Linear(sum(units), notes)
        self.cells: list[nn.LSTMCell] = []

    def forward(self, steps: Tensor) -> Tensor:
        """Return the logits of what follows each step of (B, T, notes)."""
        hidden: list[Tensor] = []
        for layer in self.layers:
            hidden.append(layer(torch.cat([steps, *hidden[-1:]], dim=-1))[0])
        logits: Tensor = self.output(torch.cat(hidden, dim=-1))
        return logits

    def as_cells(self) -> list[tuple[Tensor, Tensor]]:
        """Put the weights into cells; returns the state of one piece before its first step."""
        self.cells = [cell_of(layer) for layer in self.layers]  # type: ignore[arg-type]
        return [(torch.zeros(1, size), torch.zeros(1, size)) for size in self.units]

    def step(self, last: Tensor, states: list[tuple[Tensor, Tensor]], numbers: Tensor) -> Tensor:
        """Return the next step (1, notes), drawn with as many numbers; the states are replaced."""
        below: list[Tensor] = []
        for place, cell in enumerate(self.cells):
            states[place] = cell(torch.cat([last, *below[-1:]], dim=1), states[place])
            below.append(states[place][0])
        return (numbers < torch.sigmoid(self.output(torch.cat(below, dim=1)))).float()


class Characters(nn.Module):
    """Embedded tokens, nn.LSTM, a softmax.

    Args:
        size: of the vocabulary.
        width: of the embedding; 0 for tokens as one of so many.
        units: of each layer.
        layers: how many.
    """

    def __init__(self, size: int, width: int, units: int, layers: int) -> None:
        super().__init__()
        self.size = size
        self.embedding = nn.Embedding(size, width) if width else None
        self.layers = nn.LSTM(width or size, units, layers, batch_first=True)
        self.output = nn.Linear(units, size)

    def forward(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Return the logits of what follows each token of (B, T), and the state after them."""
        if self.embedding is None:
            read = functional.one_hot(tokens, self.size).float()
        else:
            read = self.embedding(tokens)
        hidden, state = self.layers(read, state)
        return self.output(hidden), state

    @torch.inference_mode()
    def drawn(self, rows: int, steps: int) -> Tensor:
        """Return (rows, steps) tokens drawn one after another."""
        last, state, drawn = torch.zeros(rows, 1, dtype=torch.int64), None, []
        for _ in range(steps):
            logits, state = self(last, state)
            last = torch.multinomial(logits[:, 0].softmax(-1), 1)
            drawn.append(last)
        return torch.cat(drawn, dim=1)


class Fields(nn.Module):
    """Notes field by field, each given those before it: nn.LSTM, and a small net for each field.

    Args:
        sizes: how many values each field has.
        places: in a bar.
        width: units of both layers.
        hidden: units of the layer below each field's softmax.
    """

    def __init__(self, sizes: tuple[int, ...], places: int, width: int, hidden: int) -> None:
        super().__init__()
        self.read = nn.ModuleList(nn.Embedding(size, width) for size in (*sizes, places))
        self.layers = nn.LSTM(width, width, 2, batch_first=True)
        self.cells: list[nn.LSTMCell] = []
        self.hidden = nn.ModuleList(nn.Linear(width, hidden) for _ in sizes)
        self.before = nn.ModuleList(
            nn.ModuleList(nn.Embedding(other, hidden) for other in (*sizes[:field], places))
            for field in range(len(sizes))
        )
        self.outputs = nn.ModuleList(nn.Linear(hidden, size) for size in sizes)

    def embedded(self, fields: Tensor, place: Tensor) -> Tensor:
        """Return (..., width) of notes (..., fields) and their places (...) in the bar."""
        parts = zip(self.read, (*fields.unbind(-1), place), strict=True)
        return torch.stack([table(rows) for table, rows in parts]).sum(dim=0)

    def logits(self, field: int, out: Tensor, fields: Tensor, place: Tensor) -> Tensor:
        """Return the logits of a field, given those before it."""
        z = self.hidden[field](out)
        if field:
            rows = (*fields[..., :field].unbind(-1), place)
            for table, row in zip(self.before[field], rows, strict=True):  # type: ignore[arg-type]
                z = z + table(row)
        logits: Tensor = self.outputs[field](functional.gelu(z))
        return logits

    def forward(self, notes: Tensor, place: Tensor) -> Tensor:
        """Return the nats of each note of (B, T, fields) that follows one."""
        out, _ = self.layers(self.embedded(notes[:, :-1], place[:, :-1]))
        total = torch.zeros(())
        for field in range(notes.shape[-1]):
            logits = self.logits(field, out, notes[:, 1:], place[:, 1:])
            wanted = notes[:, 1:, field].flatten()
            total = total + functional.cross_entropy(logits.flatten(0, 1), wanted)
        return total

    def as_cells(self, width: int) -> list[tuple[Tensor, Tensor]]:
        """Put the weights into cells; returns the state of one piece before its first note."""
        self.cells = []
        for layer in range(2):
            cell, end = nn.LSTMCell(width, width), f"_l{layer}"
            weights = self.layers.state_dict().items()
            cell.load_state_dict({k.removesuffix(end): v for k, v in weights if k.endswith(end)})
            self.cells.append(cell)
        return [(torch.zeros(1, width), torch.zeros(1, width)) for _ in self.cells]

    def step(self, last: Tensor, place: Tensor, states: list[Any], top_p: float) -> Tensor:
        """Return the next note (1, fields), each field from its likeliest values."""
        below = self.embedded(last, place)
        for number, cell in enumerate(self.cells):
            states[number] = cell(below, states[number])
            below = states[number][0]
        drawn = torch.zeros_like(last)
        for field in range(last.shape[-1]):
            shares = self.logits(field, below, drawn, place).softmax(-1)
            share, value = shares.sort(dim=-1, descending=True)
            share = share * (share.cumsum(-1) - share < top_p)
            drawn[:, field] = value.gather(1, torch.multinomial(share, 1))[:, 0]
        return drawn
