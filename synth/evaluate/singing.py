"""Controls to latents to audio for evaluation: the renderer's cells, one voice, with the latents laid open.

Nothing stands between the decoder and what is measured: no gate, gain, mix or limiter. A test holds this to the
renderer's samples, bit for bit.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from synth.spec.audio import (
    CELL_FRAMES,
    CONTEXT_FRAMES,
    DECODER_FUTURE_FRAMES,
    DECODER_PAST_FRAMES,
    WINDOW_FRAMES,
)
from synth.spec.controls import ControlFrames, Float32Array
from synth.spec.lanes import LANES, TECHNIQUES, lane

if TYPE_CHECKING:
    from synth.diffusion.sampler import SamplingPlan
    from synth.engine import Engine

OVERLAP_FRAMES = 2 * CONTEXT_FRAMES
UNASKED = "none"


@dataclass(frozen=True, slots=True)
class Gesture:
    """What is to be sung: controls (a lane of NaN is left to the model) and a timbre that may change over time.

    timbre  None, [TIMBRE_DIM], or [n_frames, TIMBRE_DIM]; replaces that of the controls
    """

    controls: ControlFrames
    timbre: Float32Array | None = None

    @property
    def n_cells(self) -> int:
        """Cells that cover the controls."""
        return -(-self.controls.n_frames // CELL_FRAMES)

    def window(self, cell: int) -> ControlFrames:
        """What the sampler sees of `cell`."""
        start = cell * CELL_FRAMES - CONTEXT_FRAMES
        window = self.controls.window(start, WINDOW_FRAMES)
        timbre = self.controls.timbre if self.timbre is None else self.timbre
        if timbre is not None and timbre.ndim == 2:
            timbre = timbre[np.clip(np.arange(start, start + WINDOW_FRAMES), 0, len(timbre) - 1)]
        return ControlFrames(window.values, timbre, self.controls.pitch_drift)


class Singer:
    """One engine at one quality; `plan` replaces what the quality stands for."""

    def __init__(self, engine: Engine, quality: str, plan: SamplingPlan | None = None) -> None:
        self.engine = engine
        self.quality = quality
        self._plan: dict[str, Any] = {} if plan is None else {"plan": plan}

    def latents(self, gesture: Gesture, seed: int) -> Float32Array:
        """Sample and cross-fade -> [latent_dim, n_cells * 80 + 32], from frame -CONTEXT_FRAMES on."""
        n_cells = gesture.n_cells
        joined = np.zeros((self.engine.latent_dim, n_cells * CELL_FRAMES + OVERLAP_FRAMES), dtype=np.float32)
        rising = _fade_in()

        at_once = self.engine.cells_at_once
        groups = [range(first, min(first + at_once, n_cells)) for first in range(0, n_cells, at_once)]

        def draw(cells: range) -> list[Float32Array]:
            windows = [gesture.window(cell) for cell in cells]
            return self.engine.sample_cells(windows, seed=seed, cell_indices=cells, quality=self.quality, **self._plan)

        threads = self.engine.threads if len(groups) > 1 else None
        together = (map if threads is None else threads.map)(draw, groups)
        for cell, drawn in enumerate(itertools.chain.from_iterable(together)):
            start = cell * CELL_FRAMES
            if cell > 0:
                earlier = joined[:, start : start + OVERLAP_FRAMES]
                drawn = drawn.copy()
                drawn[:, :OVERLAP_FRAMES] = (np.float32(1.0) - rising) * earlier + rising * drawn[:, :OVERLAP_FRAMES]
            joined[:, start : start + WINDOW_FRAMES] = drawn
        return joined

    def decode(self, latents: Float32Array, controls: ControlFrames, seed: int) -> Float32Array:
        """Latents as `latents` returns them -> mono audio [n_frames of the controls * HOP_SAMPLES]."""
        cells = []
        for cell in range(-(-controls.n_frames // CELL_FRAMES)):
            first = CONTEXT_FRAMES + cell * CELL_FRAMES - DECODER_PAST_FRAMES
            n_frames = DECODER_PAST_FRAMES + CELL_FRAMES + DECODER_FUTURE_FRAMES
            pitch = controls.window((cell - 1) * CELL_FRAMES, 3 * CELL_FRAMES).values["pitch"]
            cells.append(
                self.engine.decode_cell(
                    np.ascontiguousarray(latents[:, first : first + n_frames]),
                    pitch,
                    seed=seed,
                    cell_index=cell,
                    pitch_drift=controls.pitch_drift,
                )
            )
        audio = np.concatenate(cells)
        return audio[: controls.n_frames * (len(cells[0]) // CELL_FRAMES)]

    def sing(self, gesture: Gesture, seed: int) -> Float32Array:
        """Sample and decode -> mono audio [n_frames * HOP_SAMPLES]."""
        return self.decode(self.latents(gesture, seed), gesture.controls, seed)


def neutral_controls(
    n_frames: int,
    lanes: Mapping[str, float | Float32Array] | None = None,
    *,
    technique: str = "modal",
    pitch_drift: float = 0.35,
) -> ControlFrames:
    """Every lane at the lane table's default, presence 1, `technique` alone, then `lanes` -> ControlFrames.

    lanes      lane id -> a constant or [n_frames]
    technique  a name of TECHNIQUES, or UNASKED: the model chooses
    """
    values = {spec.id: np.full(n_frames, spec.default, dtype=np.float32) for spec in LANES}
    values["presence"] = np.ones(n_frames, dtype=np.float32)
    for name in TECHNIQUES:
        weight = np.nan if technique == UNASKED else float(name == technique)
        values[f"technique.{name}"] = np.full(n_frames, weight, dtype=np.float32)
    for lane_id, value in (lanes or {}).items():
        lane(lane_id)  # an unknown lane is a KeyError here, not silence later
        values[lane_id] = np.broadcast_to(np.asarray(value, dtype=np.float32), n_frames).copy()
    return ControlFrames(values, None, pitch_drift)


def _fade_in() -> Float32Array:
    """Weight of the later window over the frames two windows share -> [32]; as in rendering."""
    position = (np.arange(OVERLAP_FRAMES) + 0.5) / OVERLAP_FRAMES
    return (np.sin(0.5 * np.pi * position) ** 2).astype(np.float32)
