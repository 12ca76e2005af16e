"""The optimizer of a run: made, restored, its rates scaled and its gradients clipped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from musengine.interfaces.contracts.values import kind_of
from musengine.interfaces.model import Model
from musengine.interfaces.optimizer import OptimizerFactory
from musengine.interfaces.training import TrainingConfig
from musengine.plugins.blame import broken


def make_optimizer(model: Model[Any], factory: OptimizerFactory[Any]) -> torch.optim.Optimizer:
    """Return an optimizer over the model's parameter groups.

    Each group keeps the rate it has now as `initial_lr`, which the schedule scales.
    """
    made: object = factory.create(model.parameter_groups())
    if not isinstance(made, torch.optim.Optimizer):
        message = f"returned {kind_of(made)}, expected a torch.optim.Optimizer"
        raise broken(factory, "create", message)
    for group in made.param_groups:
        # The schedule multiplies this one, so that its factors do not accumulate; PyTorch's own
        # schedulers use the same key.
        group.setdefault("initial_lr", group["lr"])
    return made


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Restore an optimizer's moments, by the order of the parameters.

    Its settings, and how the parameters are grouped, stay the pipeline's, which may have changed;
    with as many groups the rates are those of the last step until there is a next one.

    Raises:
        ValueError: moments that one pass over the memory would read have another shape.
    """
    groups = optimizer.state_dict()["param_groups"]
    if len(groups) == len(state["param_groups"]):
        for group, before in zip(groups, state["param_groups"], strict=True):
            group["lr"] = float(before["lr"])
    optimizer.load_state_dict({**state, "param_groups": groups})
    for group in optimizer.param_groups:
        if group.get("fused"):
            for weight in group["params"]:
                # Asked for with `[]`, a weight that has none would get an empty entry.
                _refuse_other_shapes(weight, optimizer.state.get(weight, {}))


def _refuse_other_shapes(weight: torch.Tensor, moments: Mapping[str, Any]) -> None:
    # PyTorch does not look: a file from a stranger would have it read, and write, what lies behind.
    for name, moment in moments.items():
        if name != "step" and (
            not isinstance(moment, torch.Tensor)
            or (moment.shape, moment.dtype) != (weight.shape, weight.dtype)
        ):
            raise ValueError(f"{name} does not fit a weight of shape {tuple(weight.shape)}")


def scale_learning_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set every group's rate to a multiple of its initial one."""
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * factor


def clip_gradients(optimizer: torch.optim.Optimizer, config: TrainingConfig) -> None:
    """Clip each element, then each parameter's norm, then that of all, as the pipeline asks."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    if config.clip_value:
        torch.nn.utils.clip_grad_value_(parameters, config.clip_value)
    if config.clip_each_norm:
        for parameter in parameters:
            torch.nn.utils.clip_grad_norm_(parameter, config.clip_each_norm)
    if config.clip_norm:
        torch.nn.utils.clip_grad_norm_(parameters, config.clip_norm)
