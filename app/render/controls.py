"""One voice's controls, cut into what the sampler and the decoder take, and the keys that name the results."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.render.cache import content_key
from app.render.grid import PITCH_FRAMES, window_start_frame
from app.state.passage import Passage, Voice
from app.state.preset import Preset
from app.state.resolve import resolve
from synth.spec import CELL_FRAMES, ControlFrames, Float32Array
from synth.spec.audio import WINDOW_FRAMES

# Lanes are resolved for this many cells at a time: resolving costs mostly per call.
_BLOCK_CELLS = 16
_BLOCKS_KEPT = 3
# A block reaches one cell further on both sides: windows and pitch of its first and last cell lie within.
_MARGIN_FRAMES = CELL_FRAMES


class VoiceControls:
    """Frame-rate controls of one voice, resolved when asked for; memory is bounded whatever the passage's length."""

    def __init__(self, passage: Passage, voice: Voice, preset: Preset) -> None:
        self._passage = passage
        self._voice = voice
        self._preset = preset
        self._blocks: OrderedDict[int, ControlFrames] = OrderedDict()

    def window(self, cell: int) -> ControlFrames:
        """What the sampler sees for `cell`: 112 frames; presence is 0 outside the passage."""
        return self._cut(cell, window_start_frame(cell), WINDOW_FRAMES)

    def pitch_note(self, cell: int) -> Float32Array:
        """Pitch of cells `cell` - 1, `cell` and `cell` + 1 for the decoder -> [240], MIDI notes."""
        block, offset = self._block_of(cell)
        start = offset + (cell - 1) * CELL_FRAMES
        return np.ascontiguousarray(block.values["pitch"][start : start + PITCH_FRAMES])

    @property
    def pitch_drift(self) -> float:
        """0..1, how much of the sampled residual F0 the decoder adds."""
        return self._preset.pitch_drift

    def _cut(self, cell: int, start_frame: int, n_frames: int) -> ControlFrames:
        block, offset = self._block_of(cell)
        start = offset + start_frame
        lanes = {lane_id: values[start : start + n_frames] for lane_id, values in block.values.items()}
        return ControlFrames(lanes, block.timbre, block.pitch_drift)

    def _block_of(self, cell: int) -> tuple[ControlFrames, int]:
        """Controls around `cell`, and what to add to an absolute frame to index them."""
        index = cell // _BLOCK_CELLS
        first_frame = index * _BLOCK_CELLS * CELL_FRAMES - _MARGIN_FRAMES
        block = self._blocks.get(index)
        if block is None:
            n_frames = _BLOCK_CELLS * CELL_FRAMES + 2 * _MARGIN_FRAMES
            block = resolve(self._passage, self._voice, self._preset, first_frame, n_frames)
            self._blocks[index] = block
            while len(self._blocks) > _BLOCKS_KEPT:
                self._blocks.popitem(last=False)
        else:
            self._blocks.move_to_end(index)
        return block, -first_frame


@dataclass(frozen=True, slots=True)
class EngineStamp:
    """What of the engine decides the samples. The device counts: a GPU rounds differently from a CPU."""

    weights_hash: str
    device: str
    quality: str


def window_key(stamp: EngineStamp, controls: ControlFrames, *, seed: int, cell: int) -> bytes:
    """Name of the latents that the sampler makes of `controls`."""
    parts: list[bytes | str | float | int] = [stamp.weights_hash, stamp.device, stamp.quality, seed, cell]
    for lane_id in sorted(controls.values):
        # Adding 0 makes -0.0 and 0.0 the same bytes.
        parts += [lane_id, (controls.values[lane_id] + np.float32(0.0)).tobytes()]
    timbre = b"" if controls.timbre is None else np.asarray(controls.timbre, dtype=np.float32).tobytes()
    return content_key("latents", *parts, timbre, controls.pitch_drift)


def audio_key(neighbours: Sequence[bytes], controls: VoiceControls, *, seed: int, cell: int) -> bytes:
    """Name of the samples of `cell`.

    neighbours  window keys of the cells of `windows_for_cell`; they name engine, quality, lanes, timbre and place
    """
    pitch = (controls.pitch_note(cell) + np.float32(0.0)).tobytes()
    return content_key("audio", cell, seed, *neighbours, pitch, controls.pitch_drift)
