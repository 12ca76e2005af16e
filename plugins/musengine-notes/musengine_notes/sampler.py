"""The sampler: each field from its likeliest values, by one random number."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from musengine.api import Array, History, Layout, LayoutSampler, Model, PieceRandom
from musengine_notes.ahead import NotesAhead
from musengine_notes.config import NotesSamplerConfig
from musengine_notes.copies import ANY_LENGTH, CopyIndex, CopyWatch, Limits
from musengine_notes.fields import FieldLogits
from musengine_notes.form.balance import pull_of, returns_of
from musengine_notes.form.copying import PIECES, ROUNDS, STEPS, Aims, tried_additions
from musengine_notes.form.found import FoundAdditions, digest_of
from musengine_notes.form.quoting import quoted
from musengine_notes.layout import BAR, DELAY, FIELDS, PITCH, NoteEvents
from musengine_notes.model import NoteModel
from musengine_notes.nucleus import Nucleus

logger = logging.getLogger(__name__)


class NotesSampler(LayoutSampler[NotesSamplerConfig]):
    """Draws one field after another, of each its nucleus given those before.

    A pitch that goes on with a run of the training music is made likelier or less likely, and is
    not drawn where the run would be longer than the bound, unless no other can come; nor is one
    that goes on with a loop that is too long.
    """

    heeds_padding = True
    reads_settings = False
    tuning_pieces = PIECES

    _index: CopyIndex | None = None
    _watch: CopyWatch | None = None
    _drawn: Mapping[str, Tensor] = {}
    _more: Tensor | None = None

    def __init__(self, config: NotesSamplerConfig, layout: Layout) -> None:
        super().__init__(config, layout)
        self._chooser = Nucleus(config.temperature, config.top_p)
        self._found = FoundAdditions()
        self.tuning_steps = ROUNDS * STEPS if "auto" in (config.copy, config.quote) else 0
        self._by_bar: dict[int, Tensor] = {}

    def fit(self, training: Iterable[Array], held_out: Iterable[Array]) -> None:
        """Learn which runs of notes the training part holds."""
        assert isinstance(self.layout, NoteEvents)
        self._index = CopyIndex.of(training, held_out, self.layout)

    def state(self) -> Mapping[str, Array]:
        """Return the index of runs, and what is added to copying and quoting."""
        index = {} if self._index is None else self._index.as_arrays()
        return {**index, **self._found.as_arrays()}

    def load_state(self, state: Mapping[str, Array]) -> None:
        """Take over the index of runs, and what was added to copying and quoting."""
        self._index = CopyIndex.from_arrays(state)
        self._found = FoundAdditions.from_arrays(state)

    def tune(self, model: Model[Any], conditioning: Mapping[str, Tensor]) -> None:
        """Find what is added to copying and quoting in bars as the pieces have them."""
        if not self.tuning_steps or not isinstance(model, NoteModel):
            return
        longest_loop = self._limits().loop
        digest = digest_of(model, self.config, longest_loop)
        # A stranger's file may have rows for another number of lags, under a digest that is right.
        rows = self._found.entries.items()
        found = {key: row for key, row in rows if len(row) == model.lags + 1}
        self._found = FoundAdditions(found)
        for bar in torch.unique(conditioning["metre"][:, BAR]).tolist():
            if (digest, bar) not in found:
                logger.info("trying how much has to be copied for as much to come back as does")
                aims = Aims(self.config.copy, self.config.quote, self._index, longest_loop)
                found[digest, bar] = tried_additions(model, self._chooser, bar, aims).cpu()
        self._by_bar = {bar: more for (key, bar), more in found.items() if key == digest}

    @property
    def bound(self) -> int | None:
        """How many notes in a row may be the training music's; None for as many as come."""
        if self._index is None or self.config.longest_copy == 0:
            return None
        if self.config.longest_copy == "auto":
            return self._index.bound()
        return self.config.longest_copy

    def _limits(self) -> Limits:
        """Return the limits of runs and loops, as long as they come where nothing is known."""
        bound, loop = self.bound, self.config.longest_loop
        if loop == "auto":
            loop = (self._index and self._index.loop) or 0
        return Limits(ANY_LENGTH if bound is None else bound, loop or ANY_LENGTH)

    def begin(self, history: History, random: PieceRandom) -> None:
        """Look at the prompts."""
        self._watch, self._drawn, self._more = None, {}, None
        limits = self._limits()
        if self._index is None or (limits == Limits() and self.config.quote == 0):
            return
        assert isinstance(self.layout, NoteEvents)
        steps = history.steps.cpu().numpy()
        skipped = [0] * len(steps) if history.padding is None else history.padding.tolist()
        prompts = [row[n:] for row, n in zip(steps, skipped, strict=True)]
        self._watch = CopyWatch(self._index, self.layout, prompts, limits)

    def draw(self, logits: FieldLogits, history: History, random: PieceRandom) -> Tensor:
        """Return (N,) values of a field."""
        if logits.exact:
            more = torch.zeros(logits.expected.shape[1], device=logits.logits.device)
            return Nucleus(1.0, 1.0)(logits, more, random.uniform(()))
        if self._more is None or logits.field == FIELDS[DELAY]:
            # The same for all fields of a note.
            lags = logits.expected.shape[1]
            self._more = self._additions(logits.returned.bar, lags)
            if (returns := self._returns(lags)) is not None:
                pull = pull_of(logits.returned.heard, returns)
                # Among given notes a passage keeps to them.
                self._more[..., :-1] += pull * (logits.returned.bar >= 0)[:, None]
        copying, quoting = self._more[..., :-1], self._more[..., -1]
        if logits.field == FIELDS[PITCH] and self._watch is not None:
            logits = quoted(logits, quoting, self._watch, self._drawn)
        values = self._chooser(logits, copying, random.uniform(()))
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
            more=self._additions,
            watch=self._watch,
            returns=self._returns,
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

    def _returns(self, lags: int) -> tuple[float, ...] | None:
        assert isinstance(self.layout, NoteEvents)
        return returns_of(self.layout, lags, self.config.copy)

    def _additions(self, bar: Tensor, lags: int) -> Tensor:
        """Return (..., lags + 1): what is added to copying and quoting in bars of (...) steps."""
        set_by_hand = self.config.copy, self.config.quote
        more = torch.zeros((*bar.shape, lags + 1), device=bar.device)
        if "auto" in set_by_hand:
            for length in torch.unique(bar).tolist():
                if length in self._by_bar:
                    more[bar == length] = self._by_bar[length].to(bar.device)
        copy, quote = set_by_hand
        if copy != "auto":
            more[..., :-1] = copy
        if quote != "auto":
            more[..., -1] = quote
        return more
