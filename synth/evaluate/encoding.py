"""A recording through the codec's encoder, laid out as a renderer's latents are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from synth.codec.model import Codec
from synth.features.analysis import Analysis, analyse
from synth.spec.audio import CELL_FRAMES, CONTEXT_FRAMES, HOP_SAMPLES, n_frames_for
from synth.spec.controls import Float32Array
from synth.train.codec_inputs import encoder_features, explicit_latents


@dataclass(frozen=True, slots=True)
class Encoded:
    """latents [latent_dim, n_cells * 80 + 32] from frame -CONTEXT_FRAMES on; of the recording's whole cells of frames:
    note [n_cells * 80] MIDI, presence 0..1 and voiced alike; `analysis` is of all frames the latents have."""

    latents: Float32Array
    note: Float32Array
    presence: Float32Array
    voiced: Float32Array
    analysis: Analysis


@torch.inference_mode()
def encode_recording(codec: Codec, audio: Float32Array) -> Encoded:
    """Measure and encode mono audio at 48 kHz [n_samples]."""
    n_cells = -(-n_frames_for(len(audio)) // CELL_FRAMES)
    padded = np.zeros((n_cells * CELL_FRAMES + 2 * CONTEXT_FRAMES) * HOP_SAMPLES, dtype=np.float32)
    start = CONTEXT_FRAMES * HOP_SAMPLES
    padded[start : start + len(audio)] = audio
    analysis = analyse(padded)
    arrays = {f"phys.{name}": values[None] for name, values in analysis.physical.items()}
    arrays |= {"lane.presence": analysis.lanes["presence"][None], "f0_hz": analysis.f0.f0_hz[None]}
    arrays["voiced"] = analysis.f0.voiced[None].astype(np.float32)
    device = codec.decoder.window.device
    features = torch.from_numpy(encoder_features(arrays)).to(device)
    learned = codec.encoder(torch.from_numpy(padded)[None].to(device), features)[0].float().cpu().numpy()
    cells = slice(CONTEXT_FRAMES, CONTEXT_FRAMES + n_cells * CELL_FRAMES)
    return Encoded(
        latents=np.concatenate([learned.T, explicit_latents(arrays)[0]]).astype(np.float32),
        note=(69.0 + 12.0 * np.log2(analysis.f0.f0_hz[cells] / 440.0)).astype(np.float32),
        presence=analysis.lanes["presence"][cells],
        voiced=analysis.f0.voiced[cells].astype(np.float32),
        analysis=analysis,
    )
