"""How is this voice phonated? A small network on the cepstra and physical measures of each frame. Torch-free.

The weights are data: presets/models/technique/technique.safetensors, with the whole configuration, how they were
trained and how well they do on the corpus's test split in the metadata. Made by `python -m synth.train.technique`.

Format revisions
1  first: tensors mean, scale [n_features], layer<i>.weight [n_in, n_out], layer<i>.bias [n_out]; metadata kind,
   revision, config {"techniques", "n_features", "smoothing_frames", "recipe", "figures"}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from synth.atomic import write_atomically
from synth.dsp.smoothing import hann_mean
from synth.errors import UserError
from synth.spec.lanes import TECHNIQUES

Float32Array = NDArray[np.float32]
Layer = tuple[Float32Array, Float32Array]  # weight [n_in, n_out], bias [n_out]

N_FEATURES: Final = 56  # columns of synth.features.technique_features
SHIPPED_MODEL: Final = (
    Path(__file__).resolve().parents[2] / "presets" / "models" / "technique" / "technique.safetensors"
)
KIND: Final = "technique"
FORMAT_REVISION: Final = 1
STANDARD_LIMIT: Final = 4.0  # standard deviations; what lies further out than any voice is heard as the extreme
_MAX_FILE_BYTES: Final = 1 << 20
_MAX_SMOOTHING_FRAMES: Final = 101
_RESTORE: Final = "Restore it from the repository, or train it with `python -m synth.train.technique`."


@dataclass(frozen=True, slots=True)
class TechniqueModel:
    """Standardise, two or three layers with rectifiers between, softmax, average over time. Immutable.

    mean, scale       of the features over the training frames, [N_FEATURES]
    smoothing_frames  width of the Hann window the probabilities are averaged with, odd
    notes             "recipe" and "figures" of the training, plain JSON values
    """

    mean: Float32Array
    scale: Float32Array
    layers: tuple[Layer, ...]
    smoothing_frames: int
    notes: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, features: Float32Array, /) -> Float32Array:
        """Features [n_frames, 56] of technique_features -> probabilities [n_frames, 8], each row sums to 1."""
        if features.ndim != 2 or features.shape[1] != N_FEATURES:
            raise ValueError(f"technique features must be [n_frames, {N_FEATURES}], got {features.shape}")
        hidden = standardise(features, self.mean, self.scale)
        for weight, bias in self.layers[:-1]:
            hidden = np.maximum(hidden @ weight + bias, np.float32(0.0))
        weight, bias = self.layers[-1]
        logits = (hidden @ weight + bias).astype(np.float64)
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        frames = odds / odds.sum(axis=1, keepdims=True)
        smooth = np.stack([hann_mean(column, self.smoothing_frames) for column in frames.T], axis=1)
        return (smooth / smooth.sum(axis=1, keepdims=True)).astype(np.float32)


def standardise(features: Float32Array, mean: Float32Array, scale: Float32Array) -> Float32Array:
    """[n_frames, N_FEATURES] -> the same in standard deviations, limited to STANDARD_LIMIT either way."""
    return np.clip((features - mean) / scale, -STANDARD_LIMIT, STANDARD_LIMIT).astype(np.float32)


def load_technique_classifier(path: Path | None = None) -> TechniqueModel:
    """The classifier stored at `path`; without one, the one of this release, which is read once.

    Raises UserError when the file is missing, damaged, of another kind or from a newer release.
    """
    return _shipped_model() if path is None else _read_model(path)


@cache
def _shipped_model() -> TechniqueModel:
    return _read_model(SHIPPED_MODEL)


def save_technique_classifier(path: Path, model: TechniqueModel) -> None:
    """Write `model` to `path`, all or nothing."""
    config = {
        "techniques": list(TECHNIQUES),
        "n_features": N_FEATURES,
        "smoothing_frames": model.smoothing_frames,
        **{name: model.notes[name] for name in ("recipe", "figures") if name in model.notes},
    }
    tensors = {"mean": model.mean, "scale": model.scale}
    for index, (weight, bias) in enumerate(model.layers):
        tensors |= {f"layer{index}.weight": weight, f"layer{index}.bias": bias}
    tensors = {name: np.ascontiguousarray(values, dtype=np.float32) for name, values in tensors.items()}
    metadata = {"kind": KIND, "revision": str(FORMAT_REVISION), "config": json.dumps(config, sort_keys=True)}
    write_atomically(path, save(tensors, metadata))


def _read_model(path: Path) -> TechniqueModel:
    if not path.is_file():
        raise UserError(f"The technique classifier {path.name} is missing from {path.parent}.", remedy=_RESTORE)
    if path.stat().st_size > _MAX_FILE_BYTES:
        raise UserError(f"{path} is too large to be a technique classifier.", remedy=_RESTORE)
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError, ValueError, TypeError) as fault:
        raise UserError(f"{path} is not a readable safetensors file.", remedy=_RESTORE) from fault
    if metadata.get("kind") != KIND:
        found = metadata.get("kind", "nothing known")
        raise UserError(f"{path} holds {found}, not a technique classifier.", remedy="Check which file was put there.")
    if metadata.get("revision") != str(FORMAT_REVISION):
        raise UserError(f"{path} is of another revision than this Stridor reads.", remedy="Update Stridor.")
    try:
        return _checked_model(json.loads(metadata["config"]), tensors)
    except (KeyError, ValueError, TypeError, AttributeError) as fault:
        raise UserError(f"{path} is damaged: its parts do not fit together.", remedy=_RESTORE) from fault


def _checked_model(config: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> TechniqueModel:
    """Put the parts together. Raises ValueError, KeyError or TypeError where they do not fit."""
    if tuple(config["techniques"]) != TECHNIQUES or config["n_features"] != N_FEATURES:
        raise ValueError("made for other techniques or features")
    width = int(config["smoothing_frames"])
    n_layers = (len(tensors) - 2) // 2
    if n_layers < 1 or width % 2 == 0 or not 1 <= width <= _MAX_SMOOTHING_FRAMES:
        raise ValueError("no layers, or an unusable smoothing")
    parts = {name: np.asarray(values, dtype=np.float32) for name, values in tensors.items()}
    if not all(np.isfinite(values).all() for values in parts.values()) or not (parts["scale"] > 0.0).all():
        raise ValueError("holds values that are not finite, or a scale of 0")
    layers = tuple((parts[f"layer{index}.weight"], parts[f"layer{index}.bias"]) for index in range(n_layers))
    sizes = [N_FEATURES, *(weight.shape[-1] for weight, _ in layers)]
    for (weight, bias), n_in, n_out in zip(layers, sizes[:-1], sizes[1:], strict=True):
        if weight.shape != (n_in, n_out) or bias.shape != (n_out,):
            raise ValueError("layers of the wrong shape")
    if sizes[-1] != len(TECHNIQUES) or any(parts[name].shape != (N_FEATURES,) for name in ("mean", "scale")):
        raise ValueError("layers of the wrong shape")
    notes = {name: config[name] for name in ("recipe", "figures") if name in config}
    return TechniqueModel(parts["mean"], parts["scale"], layers, width, notes)
