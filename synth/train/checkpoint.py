"""Checkpoints of a training in progress: safetensors only, written atomically, so that a killed run resumes."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from synth.atomic import replace_durably
from synth.errors import UserError

CHECKPOINT_REVISION = 2  # 1: no kind, fewer counters; still resumed


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a training is: steps taken, seconds spent, smoothed loss, and what the loop must remember."""

    step: int = 0
    seconds: float = 0.0
    loss: float = math.nan
    skipped_steps: int = 0
    micro_batches: int = 1
    best_validation: float = math.nan
    best_step: int = 0


def save_checkpoint(
    path: Path, model: nn.Module, ema: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress
) -> None:
    """Write model, its moving average, optimiser moments and counters to `path`."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"ema.{name}": value for name, value in ema.state_dict().items()}
    tensors |= _optimizer_tensors(optimizer)
    _write(path, tensors, model, progress)


def save_average(path: Path, model: nn.Module, ema: nn.Module, progress: Progress) -> None:
    """Write the moving average alone, for the best of a run."""
    _write(path, {f"ema.{name}": value for name, value in ema.state_dict().items()}, model, progress)


def load_checkpoint(path: Path, model: nn.Module, ema: nn.Module, optimizer: torch.optim.Optimizer) -> Progress:
    """Restore what save_checkpoint wrote, in place; returns the counters. UserError for a damaged or foreign file."""
    tensors, progress = _read(path, model)
    _fill(path, model, _strip(tensors, "model."))
    _fill(path, ema, _strip(tensors, "ema."))
    state = optimizer.state_dict()
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in _strip(tensors, "optimizer.").items():
        index, key = name.split(".", 1)
        moments.setdefault(int(index), {})[key] = value
    state["state"] = moments
    try:
        optimizer.load_state_dict(state)
    except (KeyError, ValueError, RuntimeError) as fault:
        raise _not_resumable(path, str(fault)) from fault
    return progress


def load_average(path: Path, task: nn.Module) -> Progress:
    """Fill `task` with the moving average in a checkpoint or in best.safetensors; returns the counters."""
    tensors, progress = _read(path, task)
    _fill(path, task, _strip(tensors, "ema."))
    return progress


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    tensors = {}
    for index, state in optimizer.state_dict()["state"].items():
        for name, value in state.items():
            tensors[f"optimizer.{index}.{name}"] = torch.as_tensor(value)
    return tensors


def _write(path: Path, tensors: dict[str, Tensor], model: nn.Module, progress: Progress) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    # Copies, because safetensors refuses tensors that share memory.
    copies = {name: value.detach().to("cpu", copy=True).contiguous() for name, value in tensors.items()}
    metadata = {
        "progress": json.dumps(asdict(progress)),
        "task": type(model).__qualname__,
        "revision": str(CHECKPOINT_REVISION),
    }
    save_file(copies, temporary, metadata=metadata)
    replace_durably(temporary, path)


def _read(path: Path, model: nn.Module) -> tuple[dict[str, Tensor], Progress]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        found: dict[str, Any] = json.loads(metadata["progress"])
        progress = Progress(**found | {"step": int(found["step"])})
        revision = int(metadata.get("revision", "1"))
    except (OSError, KeyError, TypeError, ValueError, SafetensorError) as fault:
        raise _not_resumable(path, str(fault)) from fault
    if revision > CHECKPOINT_REVISION:
        raise UserError(f"The checkpoint {path.name} was written by a newer Stridor.", remedy="Update Stridor.")
    task, wanted = metadata.get("task"), type(model).__qualname__
    if task not in (None, wanted):
        raise UserError(
            f"{path.parent} holds the training of another model ({task}, not {wanted}).",
            remedy="Give another run folder.",
        )
    return tensors, progress


def _fill(path: Path, module: nn.Module, tensors: dict[str, Tensor]) -> None:
    wanted = module.state_dict()
    for name, value in wanted.items():
        if name not in tensors:
            raise _other_shape(path, f"{name} is missing")
        if tensors[name].shape != value.shape:
            raise _other_shape(path, f"{name} is {tuple(tensors[name].shape)}, not {tuple(value.shape)}")
        if tensors[name].is_floating_point() and not torch.isfinite(tensors[name]).all():
            raise UserError(
                f"The checkpoint {path.name} has values in {name} that are not finite.",
                remedy="Move it away to start over.",
            )
    unexpected = next((name for name in tensors if name not in wanted), None)
    if unexpected is not None:
        raise _other_shape(path, f"{unexpected} is not part of it")
    module.load_state_dict(tensors)


def _other_shape(path: Path, difference: str) -> UserError:
    return UserError(
        f"{path.parent} holds the training of a model of another shape: {difference}.",
        remedy="Give another run folder.",
    )


def _not_resumable(path: Path, fault: str) -> UserError:
    return UserError(f"The checkpoint {path.name} cannot be resumed: {fault}.", remedy="Move it away to start over.")


def _strip(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
