"""Whether a model keeps what the engine relies on."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from musengine.encoding.layouts import Grid, Layout, Tokens
from musengine.interfaces.contracts.tensors import choice_shape
from musengine.interfaces.loss import negative_log_likelihood
from musengine.interfaces.model import Batch, Model, Output
from musengine.interfaces.sampler import Draw, GridDraw
from musengine.plugins.declarations import ModelDeclaration
from musengine.testing.conformance.ahead import faults_ahead
from musengine.testing.conformance.report import Finding, findings
from musengine.training.device import mixed_precision, supports_bfloat16

TOLERANCE = 1e-4
"""Of logits in float32: what another order of adding may change."""
_STEPS_TO_OVERFIT = 150


class ModelCheck:
    """The checks of one model on batches of one layout.

    Args:
        make: builds the model anew; what it draws comes from PyTorch's generator.
        batch: at least two rows of at least six steps, the last row shorter and masked.
        declaration: what its plugin says of it.
        loss: what it is trained by; None for a model with a loss of its own.
    """

    def __init__(
        self,
        make: Callable[[], Model[Any]],
        batch: Batch,
        declaration: ModelDeclaration,
        loss: Callable[[Output], Tensor] | None,
    ) -> None:
        self.make, self.batch, self.declaration, self.loss = make, batch, declaration, loss
        self.layout: Layout = make().layout

    def findings(self, *, deep: bool = False) -> list[Finding]:
        """Return what is wrong.

        Args:
            deep: train it on one batch, too, which takes longer.
        """
        checks = [("output", self._output), ("evaluation", self._evaluation)]
        checks += [("state-dict", self._state_dict), ("rows", self._rows)]
        if self.declaration.training == "gradient":
            checks += [("gradient", self._gradient), ("bfloat16", self._bfloat16)]
        if self._has_logits():
            checks.append(("leak", self._leak))
            if self.declaration.generation == "stepping":
                checks += [("stepping", self._stepping), ("prefill", self._prefill)]
                checks.append(("ahead", self._ahead))
            if self.declaration.stateful:
                checks.append(("carried-state", self._carried))
        if deep and self.declaration.training == "gradient":
            checks.append(("overfit", self._overfit))
        return list(findings(checks))

    def model(self, seed: int = 0) -> Model[Any]:
        """Return the model with the weights of a seed, one pass of `fit` behind it if it learns so.

        It is in evaluation mode.
        """
        torch.manual_seed(seed)
        model = self.make()
        if self.declaration.training == "fit":
            model.fit([self.batch])
        return model.eval()

    def _has_logits(self) -> bool:
        if not isinstance(self.layout, (Grid, Tokens)):
            return False
        try:
            return self._read(self.model(), self.batch).logits is not None
        except Exception:  # the check of the output says so
            return False

    def _read(self, model: Model[Any], batch: Batch) -> Output:
        with torch.no_grad():
            output: Output = model(batch)
        return output

    def _logits(self, model: Model[Any], batch: Batch) -> Tensor:
        logits = self._read(model, batch).logits
        assert logits is not None
        return logits.float()

    def _output(self) -> Iterator[str]:
        """Shapes and types of what `forward` returns."""
        output = self.model()(self.batch)
        rows, steps = self.batch.mask.shape
        if output.logits is None:
            if self.declaration.training == "gradient" and not self.declaration.own_loss:
                yield "returns no logits and does not declare own_loss=True"
            if self.declaration.likelihood and output.nll is None:
                yield "declares a likelihood and returns neither logits nor nll"
            return
        wanted = (rows, steps, *choice_shape(self.layout))
        shape = tuple(output.logits.shape)
        if isinstance(self.layout, (Grid, Tokens)) and shape != wanted:
            yield f"logits have the shape {shape}, not {wanted}"
        if self.declaration.training == "gradient" and output.logits.dtype == torch.float64:
            yield "logits are float64: a float64 array or number came in; convert it to float32"
        if output.targets is None:
            yield "returns logits without targets: pass batch.targets"
        elif output.targets.shape[:2] != (rows, steps):
            shape = tuple(output.targets.shape)
            yield f"targets have the shape {shape}, not ({rows}, {steps}, ...)"
        if output.mask is None:
            yield "returns no mask, so that padded steps count: pass batch.mask"
        elif tuple(output.mask.shape) != (rows, steps):
            yield (
                f"the mask has the shape {tuple(output.mask.shape)}, not ({rows}, {steps}): it "
                "would be broadcast"
            )
        if self.declaration.likelihood and isinstance(self.layout, (Grid, Tokens)):
            nll = negative_log_likelihood(output, self.layout)
            if not bool(torch.isfinite(nll).all()):
                yield "the likelihood is not finite for music that may occur"

    def _evaluation(self) -> Iterator[str]:
        """In evaluation mode nothing is drawn: dropout is off."""
        model = self.model()
        torch.manual_seed(1)
        first = self._figures(model(self.batch))
        torch.manual_seed(2)
        if not _equal(first, self._figures(model(self.batch))):
            yield "gives other results for the same batch in evaluation mode: is dropout left on?"

    def _figures(self, output: Output) -> list[Tensor]:
        values = (output.logits, output.nll)
        return [value.detach().float() for value in values if value is not None]

    def _state_dict(self) -> Iterator[str]:
        """What it has learned is all in parameters and buffers, which are saved."""
        trained = self.model(seed=0)
        if self.declaration.training == "gradient":
            self._train(trained, steps=2)
        torch.manual_seed(1)
        other = self.make()
        # A copy: else the two would share what a model changes in place.
        other.load_state_dict(copy.deepcopy(trained.state_dict()))
        with torch.no_grad():
            same = _equal(
                self._figures(trained(self.batch)), self._figures(other.eval()(self.batch))
            )
        if not same:
            yield (
                "loaded with the weights of another it gives other results: something it learned "
                "or drew is no parameter, buffer or submodule"
            )

    def _rows(self) -> Iterator[str]:
        """A piece gets the same whatever stands beside it in the batch, or pads it."""
        model = self.model()
        together = self._figures(model(self.batch))
        for row in range(len(self.batch.mask)):
            # Without its padding: what is padded must not matter either.
            length = int(self.batch.mask[row].sum())
            alone = self._figures(model(_part(self.batch, row, length)))
            if not _near([each[row : row + 1, :length] for each in together], alone):
                yield (
                    f"row {row} gets other results alone than beside other rows: it depends on "
                    "the number of pieces, their order or the padding"
                )
                return

    def _gradient(self) -> Iterator[str]:
        """Every parameter that is trained has a gradient, and an optimizer group."""
        model = self.model().train()
        torch.autograd.backward(self._loss(model(self.batch)))
        grouped = {id(p) for group in model.parameter_groups() for p in group["params"]}
        for name, parameter in model.named_parameters():
            if not parameter.requires_grad:
                continue
            if parameter.grad is None:
                yield f"the parameter {name} has no gradient: it takes no part in forward"
            elif not bool(torch.isfinite(parameter.grad).all()):
                yield f"the gradient of {name} is not finite"
            if id(parameter) not in grouped:
                yield f"the parameter {name} is in no group of parameter_groups()"

    def _bfloat16(self) -> Iterator[str]:
        """It runs in mixed precision."""
        device = torch.device("cpu")
        if not supports_bfloat16(device):
            return
        model = self.model().train()
        with mixed_precision("bfloat16", device):
            output = model(self.batch)
        loss = self._loss(output)
        torch.autograd.backward(loss)
        if not bool(torch.isfinite(loss)):
            yield "the loss is not finite in mixed precision"

    def _leak(self) -> Iterator[str]:
        """No logit depends on what it predicts, or on anything later."""
        model = self.model()
        before = self._logits(model, self.batch)
        for t in {0, self._shortest() // 2, self._shortest() - 1}:
            changed = self.batch.steps.clone()
            # Its own target of step t is the array's step t + 1: the first step precedes all.
            if isinstance(self.layout, Tokens):
                # Every row gets another token there.
                changed[:, t + 1] = (changed[:, t + 1] + 1) % self.layout.size
                seen = slice(0, t + 1)
            else:
                # One element is flipped, the last: models of notes in order may see the elements
                # before it.
                changed[:, t + 1].flatten(1)[:, -1] ^= 1
                seen = slice(0, t)
            after = self._logits(model, replace(self.batch, steps=changed))
            leaks = [(before[:, seen], after[:, seen])]
            if not isinstance(self.layout, Tokens):
                # That element's own logit must not move, though others of the step may, as in
                # note-by-note models.
                leaks.append((before[:, t].flatten(1)[:, -1], after[:, t].flatten(1)[:, -1]))
            if not all(_near([one], [other]) for one, other in leaks):
                yield (
                    f"a logit of step {t} or before depends on what step {t} is: it sees what it "
                    "should predict (read batch.inputs, and mask what is later)"
                )
                return

    def _stepping(self) -> Iterator[str]:
        """Step by step it says what it says when all is known."""
        model = self.model()
        batch = _part(self.batch, 0, self._shortest())
        expected = self._logits(model, batch)
        logits = torch.stack([at for at, _ in self._walk(model, batch)], dim=1)
        if logits.shape != expected.shape:
            yield (
                f"step by step its logits have the shape {tuple(logits[:, 0].shape)}, in forward "
                f"{tuple(expected[:, 0].shape)}"
            )
        elif not _near([logits], [expected]):
            t = int((logits - expected).abs().flatten(2).amax((0, 2)).gt(TOLERANCE).nonzero()[0])
            yield (
                f"step by step its logits differ from forward's, first at step {t}: `start`, "
                "`step` and `propose` must say what `forward` says of the same music"
            )

    def _walk(self, model: Model[Any], batch: Batch) -> Iterator[tuple[Tensor, Any]]:
        state, last = model.start(len(batch.mask)), model.before_first(len(batch.mask))
        with torch.no_grad():
            for t in range(batch.mask.shape[1]):
                here = {name: channel[:, t] for name, channel in batch.conditioning.items()}
                context, state = model.step(last, state, here)
                target = batch.targets[:, t]
                # The true step is forced as the draw, so that models whose choices within a step
                # depend on each other see what `forward` saw.
                yield model.propose(context, _forced(target, self.layout)).logits.float(), state
                last = target

    def _prefill(self) -> Iterator[str]:
        """A prompt read in one pass leaves it where reading step by step does."""
        model = self.model()
        batch = _part(self.batch, 0, self._shortest())
        expected = [logits for logits, _ in self._walk(model, batch)][-1]
        count = batch.mask.shape[1] - 1
        prompt = batch.targets[:, :count]
        known = {name: channel[:, :count] for name, channel in batch.conditioning.items()}
        here = {name: channel[:, count] for name, channel in batch.conditioning.items()}
        with torch.no_grad():
            state = model.prefill(prompt, model.start(1), known)
            context, _ = model.step(prompt[:, -1], state, here)
            target = batch.targets[:, count]
            logits = model.propose(context, _forced(target, self.layout)).logits.float()
        if not _near([logits], [expected]):
            yield (
                "after prefill it says something else than after the same steps one by one; the "
                "prompt's last step is given to the next `step`, and must not be read twice"
            )

    def _ahead(self) -> Iterator[str]:
        """Several tokens chosen in one call are those that it would choose one by one."""
        if isinstance(self.layout, Tokens):
            batch = _between(self.batch, 0, self._shortest())
            known = _ForcedToken(batch.targets[:, 0])
            for fault in faults_ahead(self.model(), self.layout, batch, known, TOLERANCE):
                yield f"choose_ahead: {fault}"

    def _carried(self) -> Iterator[str]:
        """Two halves with the state carried along give what the whole gives."""
        model = self.model()
        whole = _part(self.batch, 0, self._shortest())
        half = whole.mask.shape[1] // 2
        first = _between(whole, 0, half)
        with torch.no_grad():
            state = self._read(model, first).state
        if state is None:
            yield "is declared stateful and returns no state with its output"
            return
        again = torch.zeros_like(whole.reset)
        second = replace(_between(whole, half, whole.mask.shape[1]), reset=again, begins=again)
        second = replace(second, carried=state)
        if not _near([self._logits(model, second)], [self._logits(model, whole)[:, half:]]):
            yield "with the state carried from one batch to the next it does not go on as in one"

    def _overfit(self) -> Iterator[str]:
        """It learns one batch by heart."""
        model = self.model()
        losses = self._train(model, steps=_STEPS_TO_OVERFIT)
        # So written, NaN fails as well.
        if not losses[-1] < 0.7 * losses[0]:
            yield (
                f"does not learn a single batch: the loss went from {losses[0]:.3g} to "
                f"{losses[-1]:.3g} in {_STEPS_TO_OVERFIT} steps of Adam"
            )

    def _train(self, model: Model[Any], *, steps: int) -> list[float]:
        optimizer = torch.optim.Adam(model.parameter_groups(), lr=0.01)
        losses = []
        model.train()
        for _ in range(steps):
            optimizer.zero_grad(set_to_none=True)
            loss = self._loss(model(self.batch))
            torch.autograd.backward(loss)
            optimizer.step()
            losses.append(float(loss.detach()))
        model.eval()
        return losses

    def _loss(self, output: Output) -> Tensor:
        value = output.loss if self.loss is None else self.loss(output)
        assert value is not None, "the model returned no loss"
        return value if output.penalty is None else value + output.penalty

    def _shortest(self) -> int:
        return int(self.batch.mask.sum(dim=1).min())


class _ForcedToken(Draw):
    """Chooses what is known already, whatever the logits."""

    def __init__(self, target: Tensor) -> None:
        self.target = target

    def __call__(self, logits: Tensor) -> Tensor:
        return self.target


def _forced(target: Tensor, layout: Layout) -> Draw:
    if isinstance(layout, Grid):
        infinite = torch.full(target.shape, float("inf"))
        return GridDraw(torch.where(target > 0, -infinite, infinite), layout)
    return _ForcedToken(target)


def _between(batch: Batch, first: int, after: int) -> Batch:
    return replace(
        batch,
        steps=batch.steps[:, first : after + 1],
        mask=batch.mask[:, first:after],
        position=batch.position + first,
        conditioning={
            name: channel[:, first:after] for name, channel in batch.conditioning.items()
        },
    )


def _part(batch: Batch, row: int, length: int) -> Batch:
    one = slice(row, row + 1)
    alone = replace(
        batch,
        conditioning={name: channel[one] for name, channel in batch.conditioning.items()},
        **{
            name: getattr(batch, name)[one]
            for name in ("steps", "mask", "reset", "begins", "position", "pieces")
        },
    )
    return _between(alone, 0, length)


def _equal(one: list[Tensor], other: list[Tensor]) -> bool:
    return len(one) == len(other) and all(map(torch.equal, one, other))


def _near(one: list[Tensor], other: list[Tensor]) -> bool:
    return len(one) == len(other) and all(
        a.shape == b.shape and torch.allclose(a, b, atol=TOLERANCE, rtol=TOLERANCE)
        for a, b in zip(one, other, strict=True)
    )
