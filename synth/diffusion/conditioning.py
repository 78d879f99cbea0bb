"""Controls as the denoiser sees them: five pathways side by side, every lane with its own "was it asked" mask.

A lane value of NaN means "not asked": the model fills it in. Where nobody sings only presence is told, in training
as in rendering, so that what is drawn under a silence cannot leak into it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synth.spec.lanes import TECHNIQUES, Pathway, lane

Float32Array = NDArray[np.float32]

TIMBRE_DIM = 16
PRESENCE_FLOOR = 0.02
_TECHNIQUE_IDS = tuple(f"technique.{name}" for name in TECHNIQUES)
_LANES_OF = {
    Pathway.PITCH: ("pitch",),
    Pathway.IRREGULARITY: ("roughness", "fry", "tension"),
    Pathway.NOISE: ("presence", "loudness", "breathiness", "ingress"),
    Pathway.TIMBRE: ("vowel_open", "vowel_front", "tract"),
}
PATHWAYS = (Pathway.PITCH, Pathway.IRREGULARITY, Pathway.NOISE, Pathway.TIMBRE, Pathway.TECHNIQUE)


@dataclass(frozen=True, slots=True)
class TimbreScale:
    """Mean and spread of the corpus's cepstra c1..c16; part of the weights' configuration."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def normalise(self, timbre: Float32Array) -> Float32Array:
        """[..., TIMBRE_DIM] cepstra -> about unit variance."""
        return ((timbre - np.asarray(self.mean)) / np.asarray(self.std)).astype(np.float32)


def pathway_slices() -> dict[Pathway, slice]:
    """Where each pathway's columns lie in a condition array."""
    slices, start = {}, 0
    for pathway in PATHWAYS:
        width = 2 * len(_LANES_OF.get(pathway, ()))
        if pathway is Pathway.TIMBRE:
            width += TIMBRE_DIM + 1
        if pathway is Pathway.TECHNIQUE:
            width = len(_TECHNIQUE_IDS) + 1
        slices[pathway] = slice(start, start + width)
        start += width
    return slices


CONDITION_DIM = max(part.stop for part in pathway_slices().values())
PRESENCE_COLUMNS = slice(pathway_slices()[Pathway.NOISE].start, pathway_slices()[Pathway.NOISE].start + 2)


def lane_columns() -> dict[str, slice]:
    """Columns (value, mask) of each lane that can be dropped on its own."""
    columns = {}
    for pathway, ids in _LANES_OF.items():
        start = pathway_slices()[pathway].start
        for index, lane_id in enumerate(ids):
            columns[lane_id] = slice(start + 2 * index, start + 2 * index + 2)
    return columns


def _scaled(lane_id: str, values: Float32Array) -> Float32Array:
    """-1..1 over the lane's range; what lies beyond it was never learnt, and is asked for as the range's end."""
    spec = lane(lane_id)
    values = np.clip(values, spec.minimum, spec.maximum)
    middle, half = 0.5 * (spec.minimum + spec.maximum), 0.5 * (spec.maximum - spec.minimum)
    return (values - middle) / half


def condition_array(lanes: Mapping[str, Float32Array], timbre: Float32Array | None, scale: TimbreScale) -> Float32Array:
    """Lanes [..., n_frames] in their units -> [..., n_frames, CONDITION_DIM].

    timbre   [..., TIMBRE_DIM] or [..., n_frames, TIMBRE_DIM] cepstra; NaN or None: not asked
    """
    presence = np.asarray(lanes["presence"], dtype=np.float32)
    sung = np.nan_to_num(presence) > PRESENCE_FLOOR
    out = np.zeros((*presence.shape, CONDITION_DIM), dtype=np.float32)
    for lane_id, columns in lane_columns().items():
        values = np.asarray(lanes[lane_id], dtype=np.float32)
        asked = np.isfinite(values) & (sung | (lane_id == "presence"))
        out[..., columns.start] = np.where(asked, _scaled(lane_id, np.nan_to_num(values)), 0.0)
        out[..., columns.start + 1] = asked
    slices = pathway_slices()
    if timbre is not None:
        spread = timbre if timbre.ndim == presence.ndim + 1 else np.expand_dims(timbre, -2)
        spread = np.broadcast_to(spread, (*presence.shape, TIMBRE_DIM))
        asked = np.isfinite(spread).all(axis=-1) & sung
        end = slices[Pathway.TIMBRE].stop
        normalised = np.clip(scale.normalise(np.nan_to_num(spread)), -4, 4)
        out[..., end - TIMBRE_DIM - 1 : end - 1] = normalised * asked[..., None]
        out[..., end - 1] = asked
    start = slices[Pathway.TECHNIQUE].start
    weights = np.stack([np.asarray(lanes[lane_id], dtype=np.float32) for lane_id in _TECHNIQUE_IDS], axis=-1)
    asked = np.isfinite(weights).all(axis=-1) & sung
    out[..., start : start + len(_TECHNIQUE_IDS)] = np.nan_to_num(weights) * asked[..., None]
    out[..., start + len(_TECHNIQUE_IDS)] = asked
    return out


def typical_timbre(lanes: Mapping[str, Float32Array], typical: Mapping[str, Float32Array]) -> Float32Array | None:
    """Timbre of the technique mixture at every frame -> [n_frames, TIMBRE_DIM]; None when no technique's is known.

    Windows are sampled apart: without a timbre each would find a singer of its own. NaN, not asked, where no known
    technique has any weight.

    typical   technique -> its cepstra [TIMBRE_DIM], from the weights
    """
    if not typical:
        return None
    weights = {name: np.nan_to_num(lanes[f"technique.{name}"]) for name in typical}
    total = np.sum(list(weights.values()), axis=0)
    mixed = np.sum([weights[name][:, None] * timbre for name, timbre in typical.items()], axis=0)
    known = (total > 0.0)[:, None]
    return np.where(known, mixed / np.maximum(total, 1e-6)[:, None], np.nan).astype(np.float32)


def without(condition: Float32Array, pathway: Pathway) -> Float32Array:
    """A copy with one pathway dropped; presence always stays, so that guidance cannot invent a singer."""
    dropped = condition.copy()
    dropped[..., pathway_slices()[pathway]] = 0.0
    dropped[..., PRESENCE_COLUMNS] = condition[..., PRESENCE_COLUMNS]
    return dropped
