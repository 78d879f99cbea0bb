"""The render grid: cells of a passage, the windows they are sampled in, and how windows' latents become a cell's.

Cell k renders frames [k*80, (k+1)*80). Its window, 112 frames from k*80 - 16, is what the diffusion model samples;
windows k and k+1 share 32 frames around the boundary between their cells, where their latents are cross-faded.
Windows exist for the cells of the passage only: at either end the outermost window stands alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np

from synth.spec import CELL_FRAMES, FRAME_RATE_HZ, HOP_SAMPLES, SAMPLE_RATE_HZ, Float32Array
from synth.spec.audio import CONTEXT_FRAMES, DECODER_FUTURE_FRAMES, DECODER_PAST_FRAMES, WINDOW_FRAMES

CELL_SAMPLES = CELL_FRAMES * HOP_SAMPLES
CELL_S = CELL_FRAMES / FRAME_RATE_HZ
OVERLAP_FRAMES = 2 * CONTEXT_FRAMES
DECODER_FRAMES = DECODER_PAST_FRAMES + CELL_FRAMES + DECODER_FUTURE_FRAMES  # 96
PITCH_FRAMES = 3 * CELL_FRAMES

# 2.4 s begins cell 3 although 2.4 / 0.8 is a little below 3 in binary.
_ROUNDING_CELLS = 1e-9
# Cells behind the playhead are wanted half as urgently as those ahead of it: playing runs forwards.
_BEHIND_COST = 2


def n_samples_of(duration_s: float) -> int:
    """Samples of a passage of `duration_s`, at least one."""
    return max(round(duration_s * SAMPLE_RATE_HZ), 1)


def n_cells_of(n_samples: int) -> int:
    """Cells that cover `n_samples`, the last one possibly partial."""
    return -(-n_samples // CELL_SAMPLES)


def cell_at(t_s: float) -> int:
    """The cell in which time `t_s` lies (negative before the start)."""
    return math.floor(t_s / CELL_S + _ROUNDING_CELLS)


def window_start_frame(cell: int) -> int:
    """First absolute frame of the cell's window."""
    return cell * CELL_FRAMES - CONTEXT_FRAMES


def sample_range(cell: int, n_samples: int) -> tuple[int, int]:
    """[start, end) of the cell's samples in a passage of `n_samples`; the last cell may be short."""
    return min(cell * CELL_SAMPLES, n_samples), min((cell + 1) * CELL_SAMPLES, n_samples)


def windows_for_cell(cell: int, n_cells: int) -> range:
    """Cells whose windows the decoder needs for `cell`: itself and the neighbours that exist."""
    return range(max(cell - 1, 0), min(cell + 2, n_cells))


def windows_seeing(start_frame: int, end_frame: int, n_cells: int) -> range:
    """Cells whose window holds any of the frames [start_frame, end_frame): what a change there re-samples."""
    if end_frame <= start_frame:
        return range(0)
    first = (start_frame - CELL_FRAMES - CONTEXT_FRAMES) // CELL_FRAMES + 1
    last = (end_frame - 1 + CONTEXT_FRAMES) // CELL_FRAMES
    return range(min(max(first, 0), n_cells), min(max(last + 1, 0), n_cells))


def cells_hearing(start_frame: int, end_frame: int, n_cells: int) -> range:
    """Cells whose samples a change of controls in [start_frame, end_frame) can alter: one more on each side."""
    windows = windows_seeing(start_frame, end_frame, n_cells)
    if not windows:
        return range(0)
    return range(max(windows.start - 1, 0), min(windows.stop + 1, n_cells))


def by_nearness(cells: Iterable[int], playhead_cell: int) -> list[int]:
    """The cells in the order in which a listener at the playhead wants them."""

    def urgency(cell: int) -> tuple[int, int]:
        distance = cell - playhead_cell
        return (distance if distance >= 0 else -_BEHIND_COST * distance), cell

    return sorted(cells, key=urgency)


def fade_in() -> Float32Array:
    """Weight of the later window over the 32 shared frames -> [32], rising; the earlier one's is 1 minus it.

    The weights sum to 1 (not their squares): both windows start from the same noise at the same absolute frames, so
    their latents agree closely and a power-preserving fade would swell where they do.
    """
    position = (np.arange(OVERLAP_FRAMES) + 0.5) / OVERLAP_FRAMES
    return (np.sin(0.5 * np.pi * position) ** 2).astype(np.float32)


def assemble_latents(windows: Mapping[int, Float32Array], cell: int) -> Float32Array:
    """Latents the decoder sees for `cell`: frames [cell*80 - 14, cell*80 + 82) -> [latent_dim, 96].

    windows  cell -> sampled latents [latent_dim, 112] of `cell` and of those neighbours that exist. Where two
             windows overlap, the result is the same to the bit whichever of the two cells asks.
    """
    own = windows[cell]
    if own.ndim != 2 or own.shape[1] != WINDOW_FRAMES:
        raise ValueError(f"window latents must be [latent_dim, {WINDOW_FRAMES}], not {own.shape}")
    blended = own.copy()
    if cell - 1 in windows:
        blended[:, :OVERLAP_FRAMES] = _cross_fade(windows[cell - 1], own)
    if cell + 1 in windows:
        blended[:, -OVERLAP_FRAMES:] = _cross_fade(own, windows[cell + 1])
    first = CONTEXT_FRAMES - DECODER_PAST_FRAMES
    return np.ascontiguousarray(blended[:, first : first + DECODER_FRAMES], dtype=np.float32)


def _cross_fade(earlier: Float32Array, later: Float32Array) -> Float32Array:
    """Latents of the 32 frames that two neighbouring windows share -> [latent_dim, 32]."""
    rising = fade_in()
    faded = (np.float32(1.0) - rising) * earlier[:, -OVERLAP_FRAMES:] + rising * later[:, :OVERLAP_FRAMES]
    return faded.astype(np.float32, copy=False)
