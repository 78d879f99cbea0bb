"""Checkpoints of a training in progress: safetensors only, written atomically, so that a killed run resumes."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from synth.codec.weights import replace_durably
from synth.errors import UserError


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    tensors = {}
    for index, state in optimizer.state_dict()["state"].items():
        for name, value in state.items():
            tensors[f"optimizer.{index}.{name}"] = torch.as_tensor(value)
    return tensors


def save_checkpoint(
    path: Path, model: nn.Module, ema: nn.Module, optimizer: torch.optim.Optimizer, progress: dict[str, float]
) -> None:
    """Write model, its moving average, optimiser moments and counters to `path`."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"ema.{name}": value for name, value in ema.state_dict().items()}
    tensors |= _optimizer_tensors(optimizer)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    contiguous = {name: value.detach().contiguous().clone() for name, value in tensors.items()}
    save_file(contiguous, temporary, metadata={"progress": json.dumps(progress)})
    replace_durably(temporary, path)


def load_checkpoint(
    path: Path, model: nn.Module, ema: nn.Module, optimizer: torch.optim.Optimizer
) -> dict[str, float]:
    """Restore what save_checkpoint wrote, in place; returns the counters. UserError for a damaged or foreign file."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            progress = json.loads((file.metadata() or {})["progress"])
        model.load_state_dict(_strip(tensors, "model."))
        ema.load_state_dict(_strip(tensors, "ema."))
        state = optimizer.state_dict()
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in _strip(tensors, "optimizer.").items():
            index, key = name.split(".", 1)
            moments.setdefault(int(index), {})[key] = value
        state["state"] = moments
        optimizer.load_state_dict(state)
    except (OSError, KeyError, ValueError, RuntimeError, SafetensorError) as fault:
        raise UserError(
            f"The checkpoint {path.name} cannot be resumed: {fault}.", remedy="Move it away to start over."
        ) from fault
    return progress


def _strip(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
