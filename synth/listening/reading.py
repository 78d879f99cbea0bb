"""From the numbers of a moment to lanes and techniques: one small network, its weights in a JSON file beside this one.

Fitted by `python -m synth.evaluate.voice_in fit`, which says in the file on what and how well.

Format revisions
1  first: "revision", "names" of the numbers, "outputs", "mean" and "scale" [n_numbers], "weight1"
   [n_numbers, n_hidden], "bias1", "weight2" [n_hidden, n_outputs], "bias2", "notes"
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from synth.errors import UserError
from synth.listening.heard import READ_LANES
from synth.listening.phonation import AVERAGES_S, N_NUMBERS, NAMES
from synth.spec.controls import Float32Array
from synth.spec.lanes import TECHNIQUES

SHIPPED_READING: Final = Path(__file__).with_name("reading.json")
FORMAT_REVISION: Final = 1
OUTPUTS: Final = (*READ_LANES, "voiced", *(f"technique.{name}" for name in TECHNIQUES))
N_READ: Final = len(READ_LANES) + 1  # 0..1 each; the rest are techniques, which share 1
_MOST_DEVIATIONS: Final = 4.0
_RESTORE: Final = "Restore it from the repository, or fit it with `python -m synth.evaluate.voice_in fit`."


@dataclass(frozen=True, slots=True)
class Reading:
    """Standardise, one layer of tanh, logistic for what is 0..1 by itself and softmax for techniques. Immutable."""

    mean: Float32Array
    scale: Float32Array
    weight1: Float32Array
    bias1: Float32Array
    weight2: Float32Array
    bias2: Float32Array
    notes: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, numbers: Float32Array) -> Float32Array:
        """Numbers [..., N_NUMBERS] -> [..., len(OUTPUTS)], each 0..1."""
        standard = np.clip((numbers - self.mean) / self.scale, -_MOST_DEVIATIONS, _MOST_DEVIATIONS)
        out = np.tanh(standard @ self.weight1 + self.bias1) @ self.weight2 + self.bias2
        read = 1.0 / (1.0 + np.exp(-out[..., :N_READ]))
        odds = np.exp(out[..., N_READ:] - out[..., N_READ:].max(axis=-1, keepdims=True))
        return np.concatenate((read, odds / odds.sum(axis=-1, keepdims=True)), axis=-1).astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        """What the file holds; six digits are more than the fit knows."""
        arrays = {name: _rounded(getattr(self, name)) for name in _ARRAYS}
        names = [*NAMES, *(f"{name} over {seconds:g} s" for seconds in AVERAGES_S for name in NAMES)]
        return {
            "revision": FORMAT_REVISION,
            "names": names,
            "outputs": list(OUTPUTS),
            "notes": dict(self.notes),
            **arrays,
        }


_ARRAYS: Final = ("mean", "scale", "weight1", "bias1", "weight2", "bias2")


def load_reading(path: Path | None = None) -> Reading:
    """The network stored at `path`; without one, the one of this release, which is read once.

    Raises UserError when the file is missing, damaged or of another revision.
    """
    return _shipped() if path is None else _read(path)


@cache
def _shipped() -> Reading:
    return _read(SHIPPED_READING)


def _read(path: Path) -> Reading:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as fault:
        raise UserError(f"{path.name} is missing from {path.parent}.", remedy=_RESTORE) from fault
    except (OSError, ValueError) as fault:
        raise UserError(f"{path} cannot be read.", remedy=_RESTORE) from fault
    if not isinstance(stored, dict) or stored.get("revision") != FORMAT_REVISION:
        raise UserError(f"{path} is of another revision than this Stridor reads.", remedy="Update Stridor.")
    try:
        parts = {name: np.asarray(stored[name], dtype=np.float32) for name in _ARRAYS}
        n_hidden = len(parts["bias1"])
        shapes = {
            "mean": (N_NUMBERS,),
            "scale": (N_NUMBERS,),
            "weight1": (N_NUMBERS, n_hidden),
            "weight2": (n_hidden, len(OUTPUTS)),
            "bias2": (len(OUTPUTS),),
        }
        fits = all(parts[name].shape == shape for name, shape in shapes.items()) and tuple(stored["outputs"]) == OUTPUTS
        fits &= all(bool(np.isfinite(values).all()) for values in parts.values()) and bool((parts["scale"] > 0.0).all())
        if not fits:
            raise ValueError("parts of the wrong shape")
        return Reading(**parts, notes=dict(stored["notes"]))
    except (KeyError, TypeError, ValueError) as fault:
        raise UserError(f"{path} is damaged: its parts do not fit together.", remedy=_RESTORE) from fault


def _rounded(values: Float32Array) -> Any:
    return json.loads(json.dumps(values.astype(np.float64).round(6).tolist()))
