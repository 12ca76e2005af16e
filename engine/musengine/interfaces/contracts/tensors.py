"""Whether what models, losses and samplers return is what the engine asked for.

Only shapes and types are looked at, which costs microseconds; `musengine check-plugin` looks at
values.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from musengine.encoding.layouts import Grid, Layout, Tokens
from musengine.interfaces.contracts.values import kind_of
from musengine.interfaces.model import Batch, Model, Output, Proposal, State
from musengine.interfaces.sampler import Limits
from musengine.plugins.blame import broken


def check_output(model: Model[Any], batch: Batch, output: Any) -> Output:
    """Return what `forward` returned.

    Raises:
        ContractError: it is no Output, or its tensors do not fit the batch.
    """
    if not isinstance(output, Output):
        raise broken(model, "forward", f"returned {kind_of(output)}, expected an Output")
    logits, targets, mask = output.logits, output.targets, output.mask
    if logits is None:
        return output
    rows, steps = batch.mask.shape
    if targets is None:
        raise broken(model, "forward", "returned logits without targets; pass batch.targets")
    # A model may answer for the last steps of each row alone.
    if logits.dim() < 2 or len(logits) != rows or logits.shape[1] > steps:
        shape = (rows, steps, *choice_shape(model.layout))
        raise broken(model, "forward", _shapes("logits", logits, shape))
    wanted = (*logits.shape[:2], *choice_shape(model.layout))
    if isinstance(model.layout, (Grid, Tokens)) and tuple(logits.shape) != wanted:
        raise broken(model, "forward", _shapes("logits", logits, wanted))
    if not logits.is_floating_point():
        raise broken(model, "forward", f"logits are {logits.dtype}, expected real numbers")
    if targets.shape[:2] != logits.shape[:2]:
        raise broken(model, "forward", _shapes("targets", targets, (*logits.shape[:2], "...")))
    if mask is not None and mask.shape != logits.shape[:2]:
        message = _shapes("the mask", mask, tuple(logits.shape[:2]))
        # Broadcasting would give a wrong loss without an error.
        raise broken(model, "forward", f"{message}: it would be broadcast")
    return output


def check_loss(output: Output, value: Any, component: object) -> Tensor:
    """Return a loss.

    Raises:
        ContractError: it is no scalar.
    """
    method = "forward" if value is output.loss else "__call__"
    if not isinstance(value, Tensor) or value.dim():
        shown = f"the shape {tuple(value.shape)}" if isinstance(value, Tensor) else kind_of(value)
        raise broken(component, method, f"the loss has {shown}, expected a scalar")
    return value


def check_gradient(model: Model[Any], loss: Tensor) -> None:
    """See that something can be learned by a loss.

    Raises:
        ContractError: no gradient leads from it to the model.
    """
    if not loss.requires_grad:
        raise broken(model, "forward", "no gradient leads from the loss to a parameter")


def check_step(model: Model[Any], result: Any) -> tuple[Any, State]:
    """Return what `step` returned.

    Raises:
        ContractError: it is not what `propose` needs and the state.
    """
    if not isinstance(result, tuple) or len(result) != 2:
        message = f"returned {kind_of(result)}, expected a tuple of two: logits and the state"
        raise broken(model, "step", message)
    return result


def check_proposal(model: Model[Any], proposal: Any, pieces: int) -> Proposal:
    """Return what `propose` returned.

    Raises:
        ContractError: it is no Proposal, or its choices are not one step of each piece.
    """
    if not isinstance(proposal, Proposal):
        raise broken(model, "propose", f"returned {kind_of(proposal)}, expected a Proposal")
    wanted = (pieces, *model.layout.step_shape)
    if tuple(proposal.choice.shape) != wanted:
        raise broken(model, "propose", _shapes("choices", proposal.choice, wanted))
    return proposal


def check_ahead(model: Model[Any], made: Any, pieces: int, steps: int) -> tuple[Proposal, State]:
    """Return what `choose_ahead` returned.

    Raises:
        ContractError: it is no Proposal and state, or has not as many steps of each piece.
    """
    if not isinstance(made, tuple) or len(made) != 2 or not isinstance(made[0], Proposal):
        message = f"returned {kind_of(made)}, expected a tuple of two: a Proposal and the state"
        raise broken(model, "choose_ahead", message)
    wanted = (pieces, steps, *model.layout.step_shape)
    choice = made[0].choice
    if tuple(choice.shape) != wanted:
        raise broken(model, "choose_ahead", _shapes("choices", choice, wanted))
    return made


def check_drawn(model: Model[Any], proposal: Proposal) -> None:
    """Look at the numbers of a proposal; done now and then.

    Raises:
        ContractError: a choice is outside the layout, or a logit is not a number.
    """
    if isinstance(model.layout, Tokens):
        low, high = int(proposal.choice.min()), int(proposal.choice.max())
        if low < 0 or high >= model.layout.size:
            outside = low if low < 0 else high
            message = f"chose the token {outside} of a vocabulary of {model.layout.size}"
            raise broken(model, "propose", message)
    if bool(torch.isnan(proposal.logits).any()):
        raise broken(model, "step", "returned logits that are no numbers (NaN)")


def check_reshaped(sampler: object, method: str, made: Any, given: Tensor) -> Tensor:
    """Return what a sampler made of logits or thresholds.

    Raises:
        ContractError: it has another shape.
    """
    if not isinstance(made, Tensor):
        raise broken(sampler, method, f"returned {kind_of(made)}, expected a tensor")
    if made.shape != given.shape:
        raise broken(sampler, method, _shapes("what it returned", made, tuple(given.shape)))
    return made


def check_limits(sampler: object, method: str, made: Any, given: Limits) -> Limits:
    """Return the limits that a sampler returned.

    Raises:
        ContractError: they are none, or a mask of another shape or type.
    """
    if not isinstance(made, Limits):
        raise broken(sampler, method, f"returned {kind_of(made)}, expected Limits")
    for name, mask, before in (
        ("forbidden", made.forbidden, given.forbidden),
        ("forced", made.forced, given.forced),
    ):
        if mask.shape != before.shape:
            raise broken(sampler, method, _shapes(name, mask, tuple(before.shape)))
        if mask.dtype != torch.bool:
            raise broken(sampler, method, f"{name} is of type {mask.dtype}, expected bool")
    return made


def check_verdict(sampler: object, verdict: Any, pieces: int) -> Tensor | None:
    """Return what `review` returned.

    Raises:
        ContractError: it is neither None nor a bool for each piece.
    """
    if verdict is None:
        return None
    if not isinstance(verdict, Tensor):
        message = f"returned {kind_of(verdict)}, expected None or a tensor"
        raise broken(sampler, "review", message)
    if tuple(verdict.shape) != (pieces,):
        raise broken(sampler, "review", _shapes("what it returned", verdict, (pieces,)))
    if verdict.dtype != torch.bool:
        raise broken(sampler, "review", f"returned {verdict.dtype}, expected bool")
    return verdict


def choice_shape(layout: Layout) -> tuple[int, ...]:
    """Return the shape of the logits of one step."""
    return (layout.size,) if isinstance(layout, Tokens) else layout.step_shape


def _shapes(what: str, found: Tensor, wanted: tuple[Any, ...]) -> str:
    shown = ", ".join(map(str, wanted))
    return f"{what} of the shape {tuple(found.shape)}, expected ({shown})"
