"""Weights on disk: half-precision safetensors with the whole configuration in the metadata. Nothing executable."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from synth.atomic import replace_durably
from synth.errors import UserError

FORMAT_REVISION = 1
_MAX_FILE_BYTES = 2 << 30


def save_weights(path: Path, module: nn.Module, kind: str, config: Mapping[str, Any]) -> None:
    """Write `module` as float16 with {"kind", "revision", "config"} beside it, atomically."""
    tensors = {name: value.detach().half().contiguous() for name, value in module.state_dict().items()}
    metadata = {"kind": kind, "revision": str(FORMAT_REVISION), "config": json.dumps(config, sort_keys=True)}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")  # several processes of one training write the same
    save_file(tensors, temporary, metadata=metadata)
    replace_durably(temporary, path)


def read_config(path: Path, kind: str) -> dict[str, Any]:
    """The configuration stored with weights of `kind`. UserError when missing, damaged, foreign or newer."""
    if not path.is_file():
        raise UserError(
            f"The weights {path.name} are missing from {path.parent}.",
            remedy="Restore them from the repository, or train them with `stridor train`.",
        )
    if path.stat().st_size > _MAX_FILE_BYTES:
        raise UserError(f"{path.name} is too large to be weights of ours.", remedy="Check the file.")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as fault:
        raise UserError(f"{path.name} is not a readable safetensors file: {fault}.", remedy="Restore it.") from fault
    if metadata.get("kind") != kind:
        found = metadata.get("kind", "nothing known")
        raise UserError(f"{path.name} holds {found}, not {kind} weights.", remedy="Check which file was put there.")
    try:
        revision, config = int(metadata["revision"]), json.loads(metadata["config"])
    except (KeyError, ValueError) as fault:
        raise UserError(f"{path.name} lacks a readable configuration.", remedy="Restore it.") from fault
    if revision > FORMAT_REVISION:
        raise UserError(f"{path.name} was written by a newer Stridor.", remedy="Update Stridor.")
    if not isinstance(config, dict):
        raise UserError(f"{path.name} lacks a readable configuration.", remedy="Restore it.")
    return config


def load_weights(path: Path, module: nn.Module) -> None:
    """Fill `module` (float32) from `path`, names and shapes exactly. UserError names the first that differs, or that
    holds something else than finite numbers."""
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name).to(torch.float32) for name in file.keys()}  # noqa: SIM118 (not a dict)
    difference = _first_difference(tensors, module.state_dict())
    if difference:
        raise UserError(f"{path.name} does not fit its configuration: {difference}.", remedy="Restore it.")
    spoilt = next((name for name, value in tensors.items() if not torch.isfinite(value).all()), None)
    if spoilt is not None:
        raise UserError(f"{path.name} holds values in {spoilt} that are no numbers.", remedy="Restore it.")
    module.load_state_dict(tensors)


def _first_difference(found: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor]) -> str:
    """The first name or shape in which weights differ from what a module wants; empty when they fit."""
    for name, value in wanted.items():
        if name not in found:
            return f"{name} is missing"
        if found[name].shape != value.shape:
            return f"{name} has shape {tuple(found[name].shape)} instead of {tuple(value.shape)}"
    return next((f"{name} is unexpected" for name in found if name not in wanted), "")


def content_hash(*paths: Path) -> str:
    """One short hash of several files' bytes, hex."""
    digest = hashlib.blake2b(digest_size=16)
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()
