"""Whether an encoder keeps what the engine relies on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from musengine.encoding.layouts import Grid, Layout, Tokens
from musengine.errors import UnreadableError
from musengine.interfaces.contracts.values import encoding_fault
from musengine.interfaces.encoder import DecodeSettings, Encoded, Encoder
from musengine.music.piece import Piece
from musengine.plugins.configs import EncoderConfig
from musengine.testing.conformance.report import Finding, findings
from musengine.utils.arrays import Array


class EncoderCheck:
    """The checks of one encoder on some pieces.

    Args:
        make: builds the encoder anew, nothing learned.
        pieces: at least two that it takes.
    """

    def __init__(self, make: Callable[[], Encoder[Any]], pieces: Sequence[Piece]) -> None:
        self.make = make
        self.source = list(pieces)

    def findings(self) -> list[Finding]:
        """Return what is wrong."""
        checks = [("same-again", self._same_again), ("fit-order", self._fit_order)]
        checks += [("state", self._state), ("arrays", self._arrays)]
        checks += [("round-trip", self._round_trip), ("elapsed", self._elapsed)]
        checks += [("any-array", self._any_array), ("conditioning", self._conditioning)]
        return list(findings(checks))

    def fitted(self, *, backward: bool = False) -> Encoder[Any]:
        """Return an encoder that has learned from the pieces."""
        encoder = self.make()
        pieces = self.taken(encoder)
        encoder.fit(pieces[::-1] if backward else pieces)
        return encoder

    def taken(self, encoder: Encoder[Any]) -> list[Piece]:
        """Return what the encoder makes of the pieces before it encodes."""
        found: list[Piece] = []
        for piece in self.source:
            try:
                found.extend(encoder.pieces(piece))
            except UnreadableError:
                continue
        return found

    def encoded(self, encoder: Encoder[Any]) -> list[Encoded]:
        """Return the pieces encoded, without those it refuses."""
        found = []
        for piece in self.taken(encoder):
            try:
                found.append(encoder.encode(piece.content))
            except UnreadableError:
                continue
        return found

    def _same_again(self) -> Iterator[str]:
        """Nothing is drawn: what comes out follows from what goes in."""
        encoder = self.fitted()
        first, again = self.encoded(encoder), self.encoded(encoder)
        other = self.encoded(self.fitted())
        if not first:
            yield "refuses every piece"
        elif not (_same(first, again) and _same(first, other)):
            yield "encodes a piece differently each time: it draws, or depends on what came before"

    def _fit_order(self) -> Iterator[str]:
        """What it learns does not depend on the order of the pieces."""
        if self.fitted().state() != self.fitted(backward=True).state():
            yield "learns something else where the pieces come in another order: sort what it finds"

    def _state(self) -> Iterator[str]:
        """What it has learned survives being saved as JSON."""
        encoder = self.fitted()
        state = encoder.state()
        try:
            saved = json.loads(json.dumps(state, allow_nan=False))
        except (TypeError, ValueError) as error:
            yield f"its state is no JSON: {error}"
            return
        other = self.make()
        other.load_state(saved)
        if other.layout != encoder.layout:
            yield "has another layout after load_state(state())"
        if not _same(self.encoded(encoder), self.encoded(other)):
            yield "encodes otherwise after load_state(state()): its state lacks what it learned"

    def _arrays(self) -> Iterator[str]:
        """Arrays have the layout's shape, and hold what it says."""
        encoder = self.fitted()
        layout = encoder.layout
        for encoded in self.encoded(encoder):
            if wrong := encoding_fault(encoded.steps, layout) or _begun(encoded.steps, layout):
                yield wrong
                return

    def _round_trip(self) -> Iterator[str]:
        """What is decoded and encoded again stays as it is."""
        encoder = self.fitted()
        for encoded in self.encoded(encoder):
            music: object = encoder.decode(encoded.steps, DecodeSettings())
            if music is None:
                yield "decode returns None"
                return
            (again,) = self.encoded_again(encoder, music)
            if not np.array_equal(again.steps, encoded.steps):
                yield "decode(steps) encoded again gives other steps: it drifts with every round"
                return

    def encoded_again(self, encoder: Encoder[Any], music: Any) -> list[Encoded]:
        """Return what the encoder makes of decoded music."""
        pieces = encoder.pieces(Piece("again", music))
        return [encoder.encode(piece.content) for piece in pieces]

    def _elapsed(self) -> Iterator[str]:
        """Time goes on, so that generation comes to an end."""
        encoder = self.fitted()
        config = encoder.config
        if isinstance(config, EncoderConfig) and not config.tells_time():
            return
        for encoded in self.encoded(encoder):
            for unit in ("beats", "seconds"):
                passed = encoder.elapsed(encoded.steps, unit, DecodeSettings())
                half = len(passed) // 2
                first = encoder.elapsed(encoded.steps[:half], unit, DecodeSettings())
                if passed.shape != (len(encoded.steps),):
                    yield f"elapsed has the shape {passed.shape} for {len(encoded.steps)} steps"
                elif len(passed) and (np.diff(passed) < 0).any():
                    yield "elapsed goes back in time"
                elif len(passed) and not passed[-1] > 0:
                    yield "elapsed stands still: generation would never end"
                # Generation asks for the time of what is there so far; it must not change as more
                # is drawn.
                elif not np.allclose(first, passed[:half]):
                    yield "elapsed of a beginning depends on what comes after it"
                else:
                    continue
                return

    def _any_array(self) -> Iterator[str]:
        """Whatever a model draws can be decoded."""
        encoder = self.fitted()
        layout = encoder.layout
        random = np.random.default_rng(0)
        # Anything that an untrained model draws, also what a grammar would forbid.
        high = layout.size if isinstance(layout, Tokens) else 2
        if not isinstance(layout, (Grid, Tokens)):
            return
        arrays: list[Array] = [encoder.empty()]
        arrays += [random.integers(0, high, (40, *layout.step_shape)) for _ in range(5)]
        for steps in arrays:
            music: object = encoder.decode(steps.astype(encoder.empty().dtype), DecodeSettings())
            if music is None:
                yield "decode returns None for an array that a model may draw"
                return

    def _conditioning(self) -> Iterator[str]:
        """Conditioning channels are there while pieces are generated, too."""
        encoder = self.fitted()
        for encoded in self.encoded(encoder):
            made = encoder.conditioning(0, len(encoded.steps), DecodeSettings())
            if set(made) != set(encoded.conditioning):
                yield (
                    f"encode gives the channels {sorted(encoded.conditioning)}, conditioning() "
                    f"{sorted(made)}"
                )
                return
            for name, channel in encoded.conditioning.items():
                if len(channel) != len(encoded.steps) or made[name].shape != channel.shape:
                    yield (
                        f"the channel {name} has the shape {channel.shape} in encode and "
                        f"{made[name].shape} in conditioning() for {len(encoded.steps)} steps"
                    )
                    return


def _begun(steps: Array, layout: Layout) -> str:
    """Return that the layout's begin token is in a piece, where it is; else nothing."""
    if not isinstance(layout, Tokens) or layout.begin is None or layout.begin not in steps:
        return ""
    return "the begin token is in the arrays: the engine puts it before each piece"


def _same(one: Sequence[Encoded], other: Sequence[Encoded]) -> bool:
    return len(one) == len(other) and all(
        np.array_equal(a.steps, b.steps) and a.steps.dtype == b.steps.dtype
        for a, b in zip(one, other, strict=True)
    )
