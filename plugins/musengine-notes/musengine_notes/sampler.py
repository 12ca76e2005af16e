"""The sampler: each field from its likeliest values, by one random number."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from musengine.api import Array, History, Layout, LayoutSampler, Model, PieceRandom
from musengine_notes.ahead import NotesAhead
from musengine_notes.config import NotesSamplerConfig
from musengine_notes.copies import CopyIndex, CopyWatch
from musengine_notes.fields import NEVER, FieldLogits
from musengine_notes.form.copying import PIECES, ROUNDS, STEPS, tried_copying
from musengine_notes.form.found import FoundCopying, digest_of
from musengine_notes.layout import BAR, DELAY, FIELDS, NoteEvents
from musengine_notes.model import NoteModel
from musengine_notes.nucleus import Nucleus

logger = logging.getLogger(__name__)


class NotesSampler(LayoutSampler[NotesSamplerConfig]):
    """Draws one field after another, of each its nucleus given those before.

    A pitch that would make a run copied from the training music longer than the bound is not
    drawn, unless no other can come.
    """

    heeds_padding = True
    reads_settings = False
    tuning_pieces = PIECES

    _index: CopyIndex | None = None
    _watch: CopyWatch | None = None
    _most: int | None = None
    _drawn: Mapping[str, Tensor] = {}
    _more: Tensor | None = None

    def __init__(self, config: NotesSamplerConfig, layout: Layout) -> None:
        super().__init__(config, layout)
        self._chooser = Nucleus(config.temperature, config.top_p)
        self._found = FoundCopying()
        self.tuning_steps = ROUNDS * STEPS if config.copy == "auto" else 0
        self._by_bar: dict[int, Tensor] = {}

    def fit(self, training: Iterable[Array], held_out: Iterable[Array]) -> None:
        """Learn which runs of notes the training part holds."""
        assert isinstance(self.layout, NoteEvents)
        self._index = CopyIndex.of(training, held_out, self.layout)

    def state(self) -> Mapping[str, Array]:
        """Return the index of runs, and what is added to copying."""
        index = {} if self._index is None else self._index.as_arrays()
        return {**index, **self._found.as_arrays()}

    def load_state(self, state: Mapping[str, Array]) -> None:
        """Take over the index of runs, and what was added to copying."""
        self._index = CopyIndex.from_arrays(state)
        self._found = FoundCopying.from_arrays(state)

    def tune(self, model: Model[Any], conditioning: Mapping[str, Tensor]) -> None:
        """Find what is added to copying in bars as the pieces have them."""
        if self.config.copy != "auto" or not isinstance(model, NoteModel) or not model.lags:
            return
        way = (digest_of(model), self.config.temperature, self.config.top_p)
        for bar in torch.unique(conditioning["metre"][:, BAR]).tolist():
            key = (*way, bar)
            if key not in self._found.entries and bar > 0:
                logger.info("trying how much has to be copied for as much to come back as does")
                self._found.entries[key] = tried_copying(model, self._chooser, bar).cpu()
        self._by_bar = {
            key[-1]: more for key, more in self._found.entries.items() if key[:-1] == way
        }

    @property
    def bound(self) -> int | None:
        """How many notes in a row may be the training music's; None for as many as come."""
        if self._index is None or self.config.longest_copy == 0:
            return None
        if self.config.longest_copy == "auto":
            return self._index.bound()
        return self.config.longest_copy

    def begin(self, history: History, random: PieceRandom) -> None:
        """Look at the prompts."""
        self._watch, self._drawn, self._more = None, {}, None
        # Asked once: it is a percentile of the pieces held out, and draws are many.
        self._most = self.bound
        if self._index is None or self._most is None:
            return
        assert isinstance(self.layout, NoteEvents)
        steps = history.steps.cpu().numpy()
        skipped = [0] * len(steps) if history.padding is None else history.padding.tolist()
        prompts = [row[n:] for row, n in zip(steps, skipped, strict=True)]
        self._watch = CopyWatch(self._index, self.layout, prompts)

    def draw(self, logits: FieldLogits, history: History, random: PieceRandom) -> Tensor:
        """Return (N,) values of a field."""
        if logits.exact:
            more = torch.zeros(logits.expected.shape[1], device=logits.logits.device)
            return Nucleus(1.0, 1.0)(logits, more, random.uniform(()))
        if logits.field == "pitch":
            logits = self._without_copies(logits)
        if self._more is None or logits.field == FIELDS[DELAY]:
            # The same for all fields of a note.
            self._more = self._copying(logits.bar, logits.expected.shape[1])
        values = self._chooser(logits, self._more, random.uniform(()))
        self._drawn = {**self._drawn, logits.field: values}
        return values

    def ahead(self, history: History, random: PieceRandom, steps: int) -> NotesAhead | None:
        """Return that nothing but the numbers of `draw` is needed, and the runs followed."""
        if type(self) is not NotesSampler:
            # Another one's `draw` may do anything.
            return None

        def numbers() -> Tensor:
            # Those that `draw` would take for the fields of one note after another.
            taken = [random.uniform(()) for _ in range(steps * len(FIELDS))]
            return torch.stack(taken, dim=1).view(-1, steps, len(FIELDS))

        return NotesAhead(
            chooser=self._chooser,
            numbers=numbers,
            more=self._copying,
            watch=self._watch,
            longest=self._most or 0,
        )

    def observe(self, choice: Tensor) -> None:
        """Follow the runs."""
        if self._watch is not None:
            self._watch.observe(choice.cpu().numpy())

    def figures(self, steps: Array, prompt_steps: int) -> Mapping[str, float]:
        """Return how many notes in a row are the training music's, and how many may be."""
        if self._index is None:
            return {}
        assert isinstance(self.layout, NoteEvents)
        longest = self._index.longest(steps, self.layout, prompt_steps)
        bound = self.bound
        return {"longest_copy": longest} | (
            {} if bound is None else {"longest_copy_allowed": bound}
        )

    def _without_copies(self, pitch: FieldLogits) -> FieldLogits:
        """Forbid the pitches with which a run would be too long, where others are left."""
        if self._watch is None or self._most is None:
            return pitch
        rows = np.flatnonzero(self._watch.run_N >= self._most)
        if not len(rows):
            return pitch
        delay, part = (self._drawn[name].cpu().numpy()[rows] for name in ("delay", "part"))
        copied = self._watch.going_on(rows, delay, part, pitch.logits.shape[1])
        logits = pitch.logits.clone()
        places = torch.from_numpy(rows).to(logits.device)
        forbidden = torch.from_numpy(copied).to(logits.device)
        others = logits[places].masked_fill(forbidden, NEVER)
        # Half of it, as something may have been added to a logit at NEVER.
        left = others.amax(dim=-1, keepdim=True) > NEVER / 2
        logits[places] = torch.where(left, others, logits[places])
        return replace(pitch, logits=logits)

    def _copying(self, bar: Tensor, lags: int) -> Tensor:
        """Return (..., lags): what is added to copying in bars of (...) grid steps."""
        shape = (*bar.shape, lags)
        if self.config.copy != "auto":
            return torch.full(shape, float(self.config.copy), device=bar.device)
        more = torch.zeros(shape, device=bar.device)
        for length in torch.unique(bar).tolist():
            if length in self._by_bar:
                more[bar == length] = self._by_bar[length].to(bar.device)
        return more
