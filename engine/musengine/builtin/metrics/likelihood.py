"""The negative log-likelihood metric."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from musengine.data.note_counts import count_notes
from musengine.encoding.layouts import Tokens
from musengine.evaluation.likelihood import LikelihoodResult, likelihood
from musengine.interfaces.encoder import DecodeSettings
from musengine.interfaces.metric import Evidence, Metric
from musengine.plugins.configs import NoSettings


class NegativeLogLikelihood(Metric[NoSettings]):
    """Exact NLL in nats, all steps of all pieces weighted equally, and without first steps."""

    def measure(self, evidence: Evidence) -> Mapping[str, Any]:
        """Return `nll` and `nll_skip_first` per step, `steps` and `pieces` counted.

        `nll_low` and `nll_high` bound `nll` with 95 % confidence; `nll_per_piece` has each piece's.

        Of tokens a step is a token, and `bits_per_token` is the same in bits, of characters bits
        per character. Where the arrays tell their time, `nats_per_beat` is the NLL of all pieces
        over their beats (quarter notes). Where it is known how many notes the pieces have,
        `nats_per_note` is the NLL of all of them over these `notes`, with `notes_left_out`, those
        that the arrays do not hold.
        """
        if not evidence.part:
            return {}
        scores = likelihood(evidence)
        figures: dict[str, Any] = scores.figures()
        if isinstance(evidence.encoder.layout, Tokens):
            figures["bits_per_token"] = figures["nll"] / math.log(2)
        figures |= _per_beat(scores, evidence) | _per_note(scores, evidence)
        names = [piece.id for piece in evidence.part]
        means = [float(piece.mean()) for piece in scores.pieces]
        figures["nll_per_piece"] = dict(zip(names, means, strict=True))
        return figures


def _per_beat(scores: LikelihoodResult, evidence: Evidence) -> dict[str, float]:
    """Return the figures of a beat; nothing where the arrays do not tell their time."""
    encoder, settings = evidence.encoder, DecodeSettings()
    if not encoder.config.tells_time():
        return {}
    steps = [piece.encoded.steps for piece in evidence.part]
    beats = [float(encoder.elapsed(each, "beats", settings)[-1]) for each in steps if len(each)]
    # A piece of no steps has no time: then the sum would not be of all pieces.
    if len(beats) < len(steps) or not sum(beats):
        return {}
    low, high = scores.interval_per(beats)
    return {
        "nats_per_beat": scores.total / sum(beats),
        "nats_per_beat_low": low,
        "nats_per_beat_high": high,
    }


def _per_note(scores: LikelihoodResult, evidence: Evidence) -> dict[str, float]:
    """Return the figures of a note; nothing where it is not known how many there are."""
    counts = [count_notes(piece, evidence.encoder) for piece in evidence.part]
    known = [count for count in counts if count is not None]
    notes = [count.source for count in known]
    if len(known) < len(counts) or not sum(notes):
        return {}
    low, high = scores.interval_per(notes)
    return {
        "nats_per_note": scores.total / sum(notes),
        "nats_per_note_low": low,
        "nats_per_note_high": high,
        "notes": float(sum(notes)),
        "notes_left_out": float(max(sum(notes) - sum(count.held for count in known), 0)),
    }
