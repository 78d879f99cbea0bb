"""Training the codec: audio -> latents -> audio, with the pitch and the explicit excitation given.

Read from the top: a batch is audio with its measured features; the encoder compresses it; the decoder filters an
excitation built from the measured F0 and irregularity; spectra and harmonicity are compared.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from synth.codec.excitation import ExcitationFrames, excitation, free_phase
from synth.codec.layout import EXPLICIT, EXPLICIT_NAMES, compress_explicit
from synth.codec.model import Codec, CodecConfig, scaled_log_f0
from synth.codec.weights import save_weights
from synth.corpus.dataset import ClipStore
from synth.corpus.manifest import Corpus
from synth.train.loop import LoopConfig, LoopReport, describe, train
from synth.train.losses import MultiResolutionSpectralLoss, hnr_loss

log = logging.getLogger(__name__)

Batch = dict[str, Tensor]
EXCERPT_FRAMES = 64
BATCH_SIZE = 12
REAL_FRACTION = 0.6
_HNR_WEIGHT = 0.25
_PRIOR_WEIGHT = 0.005
_EXPLICIT_NOISE = 0.05


def encoder_features(arrays: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
    """Measured features beside the log-mel spectrum -> [..., n_frames, ENCODER_FEATURES]."""
    voiced = arrays["voiced"].astype(np.float32)
    log_f0 = np.log(np.clip(arrays["f0_hz"], 15.0, 2500.0) / 200.0) * voiced
    hnr = np.clip(np.nan_to_num(arrays["phys.hnr_db"], nan=-5.0), -12.0, 30.0) / 10.0
    level = (np.nan_to_num(arrays["phys.loudness_db"], nan=-100.0) + 40.0) / 20.0
    rough = np.nan_to_num(arrays["phys.roughness_depth"]) * 2.0
    return np.stack([log_f0, voiced, hnr, level, rough], axis=-1).astype(np.float32)


def explicit_latents(arrays: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
    """The explicit channels in latent units -> [..., n_explicit, n_frames]; quiet frames get none of them."""
    silent = np.nan_to_num(arrays["lane.presence"]) < 0.02
    physical = {}
    for channel in EXPLICIT:
        values = np.asarray(arrays[f"phys.{channel.name}"], dtype=np.float32)
        physical[channel.name] = np.where(silent & (channel.name != "roughness_rate_hz"), channel.minimum, values)
    physical["roughness_rate_hz"] = np.nan_to_num(physical["roughness_rate_hz"], nan=70.0)
    return compress_explicit(physical)


def excitation_frames(f0_hz: NDArray[np.float32], explicit: dict[str, NDArray[np.float32]]) -> ExcitationFrames:
    """F0 and expanded explicit parameters, each [n_frames], as the excitation takes them."""
    return ExcitationFrames(f0_hz, **{name: explicit[name] for name in EXPLICIT_NAMES})


def make_batch(store: ClipStore, rng: np.random.Generator) -> Batch:
    """Draw excerpts and build their excitation, all a function of `rng`."""
    arrays = store.random_excerpts(rng, BATCH_SIZE, EXCERPT_FRAMES, real_fraction=REAL_FRACTION)
    latents = explicit_latents(arrays)
    excitations = []
    for index in range(BATCH_SIZE):
        physical = {c.name: c.expand(latents[index, row]) for row, c in enumerate(EXPLICIT)}
        frames = excitation_frames(arrays["f0_hz"][index], physical)
        phase = free_phase(arrays["f0_hz"][index], float(rng.random()))
        excitations.append(excitation(phase, 0, frames, 0, seed=int(rng.integers(2**31))))
    singing = (np.nan_to_num(arrays["lane.presence"]) > 0.5) & np.isfinite(arrays["phys.hnr_db"])
    return {
        "audio": torch.from_numpy(arrays["audio"]),
        "features": torch.from_numpy(encoder_features(arrays)),
        "explicit": torch.from_numpy(latents.transpose(0, 2, 1).copy()),
        "f0_hz": torch.from_numpy(arrays["f0_hz"].astype(np.float32)),
        "excitation": torch.from_numpy(np.stack(excitations)),
        "hnr_db": torch.from_numpy(np.nan_to_num(arrays["phys.hnr_db"]).astype(np.float32)),
        "singing": torch.from_numpy(singing.astype(np.float32)),
    }


class CodecTask(nn.Module):
    """The codec and what it is judged by, so that the loop sees one module."""

    def __init__(self, codec: Codec, *, use_bf16: bool = True) -> None:
        super().__init__()
        self.codec = codec
        self.spectral = MultiResolutionSpectralLoss()
        self.use_bf16 = use_bf16

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """-> (loss, figures)."""
        audio = batch["audio"]
        with torch.autocast(audio.device.type, torch.bfloat16, enabled=self.use_bf16):
            mean = self.codec.encoder(audio, batch["features"]).float()
            noisy = mean + self.codec.config.posterior_std * torch.randn_like(mean)
            explicit = batch["explicit"] + _EXPLICIT_NOISE * torch.randn_like(batch["explicit"])
            gains = self.codec.decoder.filters(torch.cat([noisy, explicit], -1), scaled_log_f0(batch["f0_hz"]))
        made = self.codec.decoder.synthesise(gains, batch["excitation"])
        spectral = self.spectral(made, audio)
        harmonicity = hnr_loss(gains, batch["hnr_db"], batch["singing"])
        prior = 0.5 * mean.square().mean()
        loss = spectral + _HNR_WEIGHT * harmonicity + _PRIOR_WEIGHT * prior
        parts = {"spectral": spectral, "hnr": harmonicity, "prior": prior}
        return loss, {name: float(part.detach()) for name, part in parts.items()}


def train_codec(
    corpus_dir: Path, run_dir: Path, loop: LoopConfig, *, use_bf16: bool = True
) -> tuple[Codec, LoopReport]:
    """Train (or go on training) a codec on a corpus; leaves codec.safetensors in `run_dir`."""
    store = ClipStore(Corpus.open(corpus_dir), "train")
    torch.manual_seed(loop.seed)
    task = CodecTask(Codec(CodecConfig()), use_bf16=use_bf16)
    averaged, report = train(task, lambda rng: make_batch(store, rng), loop, run_dir)
    codec = averaged.codec
    assert isinstance(codec, Codec)
    save_weights(
        run_dir / "codec.safetensors",
        codec,
        "codec",
        {"codec": codec.config.as_dict(), "recipe": describe(loop), "steps": report.steps, "loss": report.loss},
    )
    return codec, report


def main() -> None:
    """`python -m synth.train.codec --corpus DIR --run DIR --minutes N`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(arguments.threads)
    _, report = train_codec(arguments.corpus, arguments.run, LoopConfig(minutes=arguments.minutes))
    log.info("finished: %s", report)


if __name__ == "__main__":
    main()
