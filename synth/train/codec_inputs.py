"""What codec and denoiser are given of a clip's measured features, in latent units; as tensors and as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from synth.codec.excitation import ExcitationFrames
from synth.codec.layout import EXPLICIT, EXPLICIT_NAMES

_SILENT_PRESENCE = 0.02
_TYPICAL_RATE_HZ = 70.0
ENCODER_COLUMNS = ("voiced", "f0_hz", "phys.hnr_db", "phys.loudness_db", "phys.roughness_depth")
EXPLICIT_COLUMNS = ("lane.presence", *(f"phys.{name}" for name in EXPLICIT_NAMES))


def encoder_inputs(features: Mapping[str, Tensor]) -> Tensor:
    """ENCODER_COLUMNS, each [..., n_frames] -> [..., n_frames, ENCODER_FEATURES], for the encoder."""
    voiced = features["voiced"].float()
    log_f0 = torch.log(features["f0_hz"].clamp(15.0, 2500.0) / 200.0) * voiced
    hnr = torch.nan_to_num(features["phys.hnr_db"], nan=-5.0).clamp(-12.0, 30.0) / 10.0
    level = (torch.nan_to_num(features["phys.loudness_db"], nan=-100.0) + 40.0) / 20.0
    rough = torch.nan_to_num(features["phys.roughness_depth"]) * 2.0
    return torch.stack([log_f0, voiced, hnr, level, rough], dim=-1)


def explicit_inputs(features: Mapping[str, Tensor]) -> Tensor:
    """EXPLICIT_COLUMNS, each [..., n_frames] -> the explicit channels in latent units [..., n_frames, n_explicit].

    Quiet frames get none of what roughens a voice.
    """
    silent = torch.nan_to_num(features["lane.presence"]) < _SILENT_PRESENCE
    columns = []
    for channel in EXPLICIT:
        values = features[f"phys.{channel.name}"].float()
        if channel.name == "roughness_rate_hz":
            values = torch.nan_to_num(values, nan=_TYPICAL_RATE_HZ)
        else:
            values = torch.where(silent, channel.minimum, values)
        clean = torch.nan_to_num(values, nan=channel.minimum).clamp(channel.minimum, channel.maximum)
        columns.append(torch.log(clean + channel.offset))
    return torch.stack(columns, dim=-1)


def encoder_features(arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    """`encoder_inputs` of arrays -> [..., n_frames, ENCODER_FEATURES]."""
    return encoder_inputs(_tensors(arrays, ENCODER_COLUMNS)).numpy()


def explicit_latents(arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    """`explicit_inputs` of arrays, channels first -> [..., n_explicit, n_frames]."""
    return np.ascontiguousarray(explicit_inputs(_tensors(arrays, EXPLICIT_COLUMNS)).movedim(-1, -2).numpy())


def excitation_frames(f0_hz: NDArray[np.float32], explicit: Mapping[str, NDArray[np.float32]]) -> ExcitationFrames:
    """F0 and expanded explicit parameters, each [n_frames], as the excitation takes them."""
    return ExcitationFrames(f0_hz, **{name: explicit[name] for name in EXPLICIT_NAMES})


def _tensors(arrays: Mapping[str, NDArray[Any]], names: tuple[str, ...]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(np.asarray(arrays[name], dtype=np.float32)) for name in names}
