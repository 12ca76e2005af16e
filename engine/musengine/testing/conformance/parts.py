"""Whether components other than models and encoders keep what the engine relies on."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from musengine.config.quantities import Meter
from musengine.encoding.layouts import Layout, Tokens
from musengine.errors import UnreadableError, UnwritableError
from musengine.interfaces.callback import Callback
from musengine.interfaces.contracts.tensors import choice_shape
from musengine.interfaces.encoder import DecodeSettings
from musengine.interfaces.loss import Loss
from musengine.interfaces.metric import Evidence, Metric
from musengine.interfaces.model import Output
from musengine.interfaces.reader import Item, Reader
from musengine.interfaces.sampler import (
    GridSampler,
    History,
    LayoutSampler,
    PieceRandom,
    Sampler,
    TokenSampler,
)
from musengine.interfaces.writer import Writable, Writer
from musengine.testing.conformance.report import Finding, findings

_SEEDS = (3, 5, 8)
_STEPS = 6
_GARBAGE = (b"", b"\0" * 64, b"MThd" + b"\xff" * 40, bytes(range(256)) * 8, b"<a><b>" * 50)


class SamplerCheck:
    """The checks of one sampler.

    Args:
        make: builds it anew.
        layout: of what it draws for.
    """

    def __init__(self, make: Callable[[], Sampler[Any]], layout: Layout) -> None:
        self.make, self.layout = make, layout

    def findings(self) -> list[Finding]:
        """Return what is wrong."""
        checks = [("kind", self._kind), ("shape", self._shape), ("pieces", self._pieces)]
        checks += [("random", self._random), ("padding", self._padding)]
        checks += [("settings", self._settings), ("state", self._state)]
        if isinstance(self.layout, Tokens):
            # Of a grid limits are laid on after all thresholds are reshaped.
            checks.append(("forbidden", self._forbidden))
        return list(findings(checks))

    def _kind(self) -> Iterator[str]:
        kinds = {"grid": GridSampler, "tokens": TokenSampler}
        kind = kinds.get(self.layout.name, LayoutSampler)
        if not isinstance(self.make(), kind):
            yield f"declares the layout {self.layout.name!r} and is no {kind.__name__}"

    def _drawn(
        self,
        pieces: Sequence[int],
        *,
        forbid: bool = False,
        padded: int = 0,
        settings: DecodeSettings | None = None,
        sampler: Sampler[Any] | None = None,
    ) -> list[Tensor]:
        """Return what it makes of some steps of numbers that are each piece's own.

        Args:
            pieces: which of them.
            forbid: some choices are forbidden already.
            padded: steps before each piece that are none of it.
            settings: tempo and meter.
            sampler: a fresh one unless given.
        """
        sampler = sampler or self.make()
        seeds = [_SEEDS[piece] for piece in pieces]
        steps = self._steps(pieces)
        before = steps[:, -1:].expand(-1, padded, *steps.shape[2:])
        padding = torch.full((len(steps),), padded) if padded else None

        def until(t: int) -> History:
            known = torch.cat([before, steps[:, :t]], dim=1)
            return History(self.layout, known, 1 + padded, settings or DecodeSettings(), padding)

        sampler.begin(until(1), PieceRandom(seeds, torch.device("cpu")))
        made = []
        for t in range(1, _STEPS):
            history = until(t)
            numbers = torch.stack([self._numbers(piece, t, forbid=forbid) for piece in pieces])
            # A sampler may draw for both.
            if isinstance(self.layout, Tokens):
                assert isinstance(sampler, TokenSampler)
                made.append(sampler.logits(numbers, history))
            else:
                assert isinstance(sampler, GridSampler)
                made.append(sampler.thresholds(numbers, history))
            sampler.observe(steps[:, t])
        return made

    def _steps(self, pieces: Sequence[int]) -> Tensor:
        kind = torch.int64 if isinstance(self.layout, Tokens) else torch.uint8
        high = self.layout.size if isinstance(self.layout, Tokens) else 2
        return torch.stack(
            [
                torch.randint(
                    0, high, (_STEPS, *self.layout.step_shape), generator=_generator(piece)
                ).to(kind)
                for piece in pieces
            ]
        )

    def _numbers(self, piece: int, t: int, *, forbid: bool) -> Tensor:
        generator = _generator(100 * piece + t)
        if isinstance(self.layout, Tokens):
            logits = 3 * torch.randn(self.layout.size, generator=generator)
            if forbid:
                logits[::2] = -math.inf
            return logits
        return torch.rand(self.layout.step_shape, generator=generator)

    def _shape(self) -> Iterator[str]:
        wanted = choice_shape(self.layout)
        for made in self._drawn((0, 1, 2)):
            if tuple(made.shape[1:]) != wanted or len(made) != 3:
                yield f"returns the shape {tuple(made.shape)}, not {(3, *wanted)}"
                return
            if isinstance(self.layout, Tokens) and not bool((made > -math.inf).any(dim=1).all()):
                yield "forbids every token"
                return
            if bool(made.isnan().any()):
                yield "returns NaN"
                return

    def _pieces(self) -> Iterator[str]:
        """A piece gets the same alone as beside others."""
        together, alone = self._drawn((0, 1, 2)), self._drawn((1,))
        if not all(_near(a[1], b[0]) for a, b in zip(together, alone, strict=True)):
            yield (
                "a piece gets other results beside others than alone: draw from the `random` "
                "given to `begin`, and mix no pieces"
            )

    def _padding(self) -> Iterator[str]:
        """What stands before a piece and is none of it does not count."""
        if not self.make().heeds_padding:
            return
        if not all(map(_near, self._drawn((0, 1)), self._drawn((0, 1), padded=3))):
            yield (
                "sets heeds_padding and gets other results where History.padding says that the "
                "first steps are none of the piece"
            )

    def _settings(self) -> Iterator[str]:
        """Tempo and meter change nothing where it says that it does not read them."""
        if self.make().reads_settings:
            return
        other = DecodeSettings(tempo=53.0, meter=Meter(3, 8))
        if not all(map(_near, self._drawn((0, 1)), self._drawn((0, 1), settings=other))):
            yield (
                "sets reads_settings = False and gets other results with another tempo and meter "
                "in History.settings"
            )

    def _state(self) -> Iterator[str]:
        """What it learned comes back from the arrays that a run keeps."""
        learned, loaded = self.make(), self.make()
        music = [steps.numpy() for steps in self._steps((0, 1, 2))]
        learned.fit(iter(music[:2]), iter(music[2:]))
        state = learned.state()
        others = [name for name, array in state.items() if not isinstance(array, np.ndarray)]
        if others:
            yield f"state() holds {others[0]!r}, which is no NumPy array"
            return
        if state:
            loaded.load_state({name: array.copy() for name, array in state.items()})
        made = self._drawn((0, 1), sampler=learned), self._drawn((0, 1), sampler=loaded)
        if not all(map(_near, *made)):
            yield "gives other results with what state() kept than with what fit() learned"

    def _forbidden(self) -> Iterator[str]:
        """What is forbidden before it stays so."""
        for made in self._drawn((0, 1, 2), forbid=True):
            if not bool((made[:, ::2] == -math.inf).all()):
                yield "lets through what stood forbidden before it in the chain"
                return

    def _random(self) -> Iterator[str]:
        before = torch.get_rng_state()
        self._drawn((0, 1))
        if not torch.equal(before, torch.get_rng_state()):
            yield "draws from PyTorch's own generator: take the `random` given to `begin`"


def check_loss(loss: Loss[Any], layout: Layout) -> list[Finding]:
    """Return what is wrong with a loss."""

    def shape() -> Iterator[str]:
        output = _output(layout)
        per_step = loss.per_step(output)
        if tuple(per_step.shape) != (2, 5):
            yield f"per_step returns the shape {tuple(per_step.shape)}, not (2, 5): one each step"
        value = loss(output)
        if value.shape != () or not bool(torch.isfinite(value)):
            yield f"gives {value}, no finite number"
        torch.autograd.backward(value)
        if output.logits is None or output.logits.grad is None:
            yield "has no gradient"
        if not loss.unit:
            yield "has no unit"

    def masked() -> Iterator[str]:
        output = _output(layout)
        assert output.logits is not None
        assert output.mask is not None
        changed = output.logits.detach().clone()
        changed[~output.mask] *= 2.0
        other = Output(logits=changed, targets=output.targets, mask=output.mask)
        if not torch.allclose(loss(output), loss(other)):
            yield "counts steps that the mask leaves out"

    return list(findings([("loss", shape), ("mask", masked)]))


def _output(layout: Layout) -> Output:
    generator = _generator(1)
    if isinstance(layout, Tokens):
        targets = torch.randint(0, layout.size, (2, 5), generator=generator)
        logits = torch.randn(2, 5, layout.size, generator=generator)
    else:
        targets = torch.randint(0, 2, (2, 5, *layout.step_shape), generator=generator)
        targets = targets.to(torch.uint8)
        logits = torch.randn(2, 5, *layout.step_shape, generator=generator)
    mask = torch.ones(2, 5, dtype=torch.bool)
    mask[1, 3:] = False
    return Output(logits=logits.requires_grad_(), targets=targets, mask=mask)


def check_metric(metric: Metric[Any], evidence: Evidence) -> list[Finding]:
    """Return what is wrong with a metric."""

    def figures() -> Iterator[str]:
        first: object = metric.measure(evidence)
        again = metric.measure(evidence)
        if not isinstance(first, Mapping):
            yield f"measure returns {type(first).__name__}, not figures by name"
            return
        if json.dumps(first, sort_keys=True) != json.dumps(again, sort_keys=True):
            yield "measures something else the second time"
        for name, value in first.items():
            if not isinstance(value, (int, float, Mapping)) or isinstance(value, bool):
                yield f"the figure {name!r} is {value!r}, no number"

    return list(findings([("figures", figures)]))


def check_reader(reader: Reader[Any], suffix: str, folder: Path) -> list[Finding]:
    """Return what is wrong with a reader.

    Args:
        reader: the reader.
        suffix: of files it claims.
        folder: a temporary folder.
    """

    def garbage() -> Iterator[str]:
        for number, data in enumerate(_GARBAGE):
            path = folder / f"garbage-{number}{suffix}"
            path.write_bytes(data)
            try:
                pieces = list(reader.read(Item(path, path.name)))
            except UnreadableError:
                continue
            except Exception as error:
                yield (
                    f"raises {type(error).__name__} for a file that holds no music: raise "
                    "UnreadableError, which costs that file alone"
                )
                return
            if any(not piece.id.startswith(path.name) for piece in pieces):
                yield "names pieces otherwise than after the item's id"
                return

    return list(findings([("garbage", garbage)]))


def check_writer(writer: Writer[Any], content: Writable, folder: Path) -> list[Finding]:
    """Return what is wrong with a writer.

    Args:
        writer: the writer.
        content: something that its declaration says it writes.
        folder: a temporary folder.
    """

    def files() -> Iterator[str]:
        if not writer.suffix.startswith("."):
            yield f"its suffix is {writer.suffix!r}, which does not begin with a dot"
        one, two = folder / f"one{writer.suffix}", folder / f"two{writer.suffix}"
        try:
            writer.write(content, one)
            writer.write(content, two)
        except UnwritableError:
            return
        if not one.is_file():
            yield "write leaves no file at the path it is given"
        elif one.read_bytes() != two.read_bytes():
            yield "writes other bytes the second time"

    return list(findings([("files", files)]))


def check_callback(make: Callable[[], Callback[Any]]) -> list[Finding]:
    """Return what is wrong with a callback."""

    def state() -> Iterator[str]:
        callback = make()
        try:
            saved = json.loads(json.dumps(callback.state(), allow_nan=False))
        except (TypeError, ValueError) as error:
            yield f"its state is no JSON: {error}"
            return
        other = make()
        other.load_state(saved)
        if other.state() != callback.state():
            yield "has another state after load_state(state())"

    return list(findings([("state", state)]))


def check_command(arguments: Callable[[argparse.ArgumentParser], None] | None) -> list[Finding]:
    """Return what is wrong with the arguments of a command."""

    def added() -> Iterator[str]:
        if arguments is None:
            return
        parser = argparse.ArgumentParser()
        # What every command has already.
        for flags in (("-q", "--quiet"), ("-v", "--verbose"), ("--log-file",)):
            parser.add_argument(*flags)
        arguments(parser)
        if not parser.format_help():
            yield "has no help"

    return list(findings([("arguments", added)]))


def _near(one: Tensor, other: Tensor) -> bool:
    # A vectorised function may round another way in another place of an array.
    return torch.allclose(one, other, atol=1e-6, rtol=1e-6)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
