"""Guards: they end a fault wherever in a chain they stand.

What is known before a step is forbidden or forced there. Of a grid, silence and the number of
notes are known only when a step is whole: it is proposed, drawn again a few times if it is at
fault, and then settled by forcing the likeliest notes or forbidding the least likely ones.
"""

from __future__ import annotations

from typing import ClassVar, TypeVar

import torch
from torch import Tensor

from musengine.api import (
    Grid,
    GridSampler,
    History,
    Layout,
    Limits,
    PieceRandom,
    Proposal,
    SamplerConfig,
    Tokens,
    TokenSampler,
)
from musengine.errors import UserError
from musengine_samplers.config import (
    LongestNoteConfig,
    LongestRestConfig,
    NotesAtOnceConfig,
    ScaleConfig,
    SmallestIntervalConfig,
)
from musengine_samplers.durations import whole_steps
from musengine_samplers.ranking import by_choice, spaced
from musengine_samplers.sounding import GridSounding, follow, neighbours, sounding

C = TypeVar("C", bound=SamplerConfig)


class Guard(GridSampler[C], TokenSampler[C]):
    """Base: leaves the probabilities as they are."""

    heeds_padding = True

    name: ClassVar[str]

    def __init__(self, config: C, layout: Layout) -> None:
        super().__init__(config, layout)
        for message in config.incompatibilities(layout):
            raise UserError(f"sampler {self.name!r}: {message}", code="settings-conflict")

    def thresholds(self, thresholds: Tensor, history: History) -> Tensor:
        """Return the thresholds as they are."""
        return thresholds

    def logits(self, logits: Tensor, history: History) -> Tensor:
        """Return the logits as they are."""
        return logits


class Following(Guard[C]):
    """Base of the guards that need to know what sounds, and since when."""

    def begin(self, history: History, random: PieceRandom) -> None:
        """Take in the prompts."""
        self.sounding = follow(self.layout, history)

    def observe(self, choice: Tensor) -> None:
        """Take in a step."""
        self.sounding.observe(choice)


class LongestNote(Following[LongestNoteConfig]):
    """A note that has lasted its length must end.

    It may be struck again at once where the layout can say so: in a grid with onsets, and with
    tokens of which one means `hold`. Otherwise its pitch is silent for a step, since a repeated
    note would be the same one, held.
    """

    name = "longest-note"

    def begin(self, history: History, random: PieceRandom) -> None:
        """Take in the prompts, and the length in steps."""
        super().begin(history, random)
        steps = whole_steps(self.config.length, self.layout, history.settings)
        # A bound below one step would forbid every note.
        self.steps = max(1, steps)

    def limit(self, limits: Limits, history: History) -> Limits:
        """Forbid what would hold a note on."""
        return self.sounding.limit_notes(limits, self.steps)


class LongestRest(Following[LongestRestConfig]):
    """When nothing has sounded for the length, something must.

    In a grid a silent step is then drawn again; when it stays silent, the likeliest note sounds.
    """

    name = "longest-rest"
    forces = True

    def begin(self, history: History, random: PieceRandom) -> None:
        """Take in the prompts, and the length in steps."""
        super().begin(history, random)
        self.steps = whole_steps(self.config.length, self.layout, history.settings)

    def limit(self, limits: Limits, history: History) -> Limits:
        """Forbid tokens that would go on with the silence."""
        return self.sounding.limit_rests(limits, self.steps)

    def review(self, proposal: Proposal, history: History) -> Tensor | None:
        """Find pieces that are silent for too long."""
        if not isinstance(self.sounding, GridSounding):
            return None
        sound_NP = sounding(proposal.choice, self.sounding.layout)
        return (self.sounding.rest_N >= self.steps) & ~sound_NP.any(dim=1)

    def insist(self, limits: Limits, proposal: Proposal, history: History) -> Limits | None:
        """Force a note."""
        if not isinstance(self.sounding, GridSounding):
            return None
        # Not drawn once more but the likeliest: what is drawn may be silent again.
        first_NP = by_choice(proposal, limits, self.sounding.layout) == 0
        forced_NP = first_NP & (self.sounding.rest_N >= self.steps)[:, None]
        return limits.force(_on_sound(forced_NP, limits))


class NotesAtOnce(Following[NotesAtOnceConfig]):
    """At least so many notes sound in every step, and at most so many.

    In a grid a step with too many or too few is drawn again; when it stays so, the least likely
    of its notes are left out, or the likeliest others are added.
    """

    name = "notes-at-once"
    forces = True

    def limit(self, limits: Limits, history: History) -> Limits:
        """Forbid tokens that would break the bounds."""
        return self.sounding.limit_count(limits, self.config.fewest, self.config.most)

    def review(self, proposal: Proposal, history: History) -> Tensor | None:
        """Find pieces with too many notes or too few."""
        if not isinstance(self.layout, Grid):
            return None
        count_N = sounding(proposal.choice, self.layout).sum(dim=1)
        return (count_N < self.config.fewest) | (count_N > self.config.most)

    def insist(self, limits: Limits, proposal: Proposal, history: History) -> Limits | None:
        """Force as many as must sound, forbid all but as many as may."""
        if not isinstance(self.layout, Grid):
            return None
        place_NP = by_choice(proposal, limits, self.layout)
        # A note that another guard forces stays, whatever the bound.
        beyond_NP = (place_NP >= self.config.most) & ~limits.forced[..., 0]
        limits = limits.force(_on_sound(place_NP < self.config.fewest, limits))
        return limits.forbid(beyond_NP[..., None])


class SmallestInterval(Following[SmallestIntervalConfig]):
    """No two notes sound closer to each other than so many semitones.

    In a grid a step with such notes is drawn again; when they stay, of two too close the one that
    is less likely is left out.
    """

    name = "smallest-interval"

    def limit(self, limits: Limits, history: History) -> Limits:
        """Forbid tokens whose pitches are too close to those sounding."""
        return self.sounding.limit_intervals(limits, self.config.semitones)

    def review(self, proposal: Proposal, history: History) -> Tensor | None:
        """Find pieces with notes too close to each other."""
        if not isinstance(self.layout, Grid):
            return None
        sound_NP = sounding(proposal.choice, self.layout)
        others_NP = neighbours(sound_NP, self.config.semitones - 1)
        return (sound_NP & others_NP).any(dim=1)

    def insist(self, limits: Limits, proposal: Proposal, history: History) -> Limits | None:
        """Forbid notes too close to others that come before them."""
        if not isinstance(self.layout, Grid):
            return None
        left_NP = ~limits.forbidden[..., 0]
        place_NP = by_choice(proposal, limits, self.layout)
        kept_NP = spaced(place_NP, left_NP, self.config.semitones - 1)
        return limits.forbid((~kept_NP & ~limits.forced[..., 0])[..., None])


class Scale(Guard[ScaleConfig]):
    """Pitches outside the scale are never drawn."""

    name = "scale"

    def begin(self, history: History, random: PieceRandom) -> None:
        """Find out which choices are outside."""
        allowed, layout = self.config.allowed(), self.layout
        if isinstance(layout, Grid):
            outside = [(layout.lowest + row) % 12 not in allowed for row in range(layout.pitches)]
            mask = torch.tensor(outside)[:, None]
        else:
            assert isinstance(layout, Tokens)
            pitches = layout.tokens_of("pitch")
            outside = [pitches.get(token, -1) % 12 not in allowed for token in range(layout.size)]
            known = [token in pitches for token in range(layout.size)]
            mask = torch.tensor(outside) & torch.tensor(known)
        self.outside = mask.to(history.steps.device)

    def limit(self, limits: Limits, history: History) -> Limits:
        """Forbid them."""
        return limits.forbid(self.outside)


def _on_sound(mask_NP: Tensor, limits: Limits) -> Tensor:
    """Return (N, pitches, channels), the mask on the sound channel."""
    whole = torch.zeros_like(limits.forced)
    whole[..., 0] = mask_NP
    return whole
