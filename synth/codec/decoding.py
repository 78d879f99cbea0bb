"""Latents and pitch to audio: one cell at a time as a renderer asks for them, or a whole passage in one go.

Both give the same samples: phase is pinned between cells, noise is a function of absolute time, and a cell is decoded
with all the frames the decoder sees.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from synth.codec.excitation import ExcitationFrames, excitation, inner_phase
from synth.codec.layout import EXPLICIT_NAMES, expand_explicit
from synth.codec.model import Codec, Decoder, scaled_log_f0
from synth.codec.packed_decoder import PackedCodec
from synth.spec.audio import CELL_FRAMES, DECODER_FUTURE_FRAMES, DECODER_PAST_FRAMES, HOP_SAMPLES

Float32Array = NDArray[np.float32]

DECODE_FRAMES = DECODER_PAST_FRAMES + CELL_FRAMES + DECODER_FUTURE_FRAMES


def decode_cell(
    codec: Codec | PackedCodec,
    latents: Float32Array,
    pitch_note: Float32Array,
    *,
    seed: int,
    cell_index: int,
    pitch_drift: float,
) -> Float32Array:
    """The audio of one cell -> [CELL_FRAMES * HOP_SAMPLES] mono.

    latents       [latent_dim, DECODE_FRAMES] from absolute frame cell_index * CELL_FRAMES - DECODER_PAST_FRAMES on
    pitch_note    [3 * CELL_FRAMES] MIDI notes of the cell before, this cell and the one after
    pitch_drift   0..1, how much of the sampled drift of F0 is heard; 0 = the pitch exactly
    """
    if latents.shape != (codec.config.latent_dim, DECODE_FRAMES):
        raise ValueError(f"latents {latents.shape} or pitch {pitch_note.shape} have the wrong shape")
    return decode_cells(codec, latents, pitch_note, seed=seed, cell_index=cell_index, pitch_drift=pitch_drift)


@torch.inference_mode()
def decode_cells(
    codec: Codec | PackedCodec,
    latents: Float32Array,
    pitch_note: Float32Array,
    *,
    seed: int,
    cell_index: int,
    pitch_drift: float,
    noise_seed: int | None = None,
) -> Float32Array:
    """The audio of n_cells cells in one go -> [n_cells * CELL_FRAMES * HOP_SAMPLES] mono.

    latents       [latent_dim, n_frames], n_frames = DECODER_PAST_FRAMES + n_cells * CELL_FRAMES + DECODER_FUTURE_FRAMES
    pitch_note    [(n_cells + 2) * CELL_FRAMES] from the cell before to the one after
    noise_seed    another realisation of the noise alone; None: that of `seed`
    """
    n_frames = latents.shape[1]
    n_cell_frames = n_frames - DECODER_PAST_FRAMES - DECODER_FUTURE_FRAMES
    if n_cell_frames % CELL_FRAMES or pitch_note.shape != (n_cell_frames + 2 * CELL_FRAMES,):
        raise ValueError(f"latents {latents.shape} or pitch {pitch_note.shape} have the wrong shape")
    f0_hz = (440.0 * 2.0 ** ((np.asarray(pitch_note, dtype=np.float64) - 69.0) / 12.0)).astype(np.float32)
    phase, first_sample = inner_phase(f0_hz, (cell_index - 1) * CELL_FRAMES)
    first_frame = cell_index * CELL_FRAMES - DECODER_PAST_FRAMES
    offset = first_frame * HOP_SAMPLES - first_sample
    inner = f0_hz[CELL_FRAMES - DECODER_PAST_FRAMES :][:n_frames]
    explicit = expand_explicit(latents[codec.config.learned_dim :])
    frames = ExcitationFrames(inner, **{name: explicit[name] for name in EXPLICIT_NAMES})
    source = excitation(
        phase[offset : offset + n_frames * HOP_SAMPLES],
        first_frame * HOP_SAMPLES,
        frames,
        first_frame,
        seed=seed,
        drift_amount=pitch_drift,
        noise_seed=noise_seed,
    )
    frames_first = torch.from_numpy(np.ascontiguousarray(latents.T))
    sound = codec.sound if isinstance(codec, PackedCodec) else partial(_sound, codec.decoder)
    return sound(frames_first, scaled_log_f0(torch.from_numpy(inner)), torch.from_numpy(source)).numpy()


def _sound(decoder: Decoder, latents: Tensor, log_f0: Tensor, source: Tensor) -> Tensor:
    """What PackedCodec.sound does, by the plain decoder, wherever it is."""
    device = decoder.window.device
    audio = decoder(latents[None].to(device), log_f0[None].to(device), source[None].to(device))[0].cpu()
    return audio[DECODER_PAST_FRAMES * HOP_SAMPLES : -DECODER_FUTURE_FRAMES * HOP_SAMPLES]
