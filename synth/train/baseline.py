"""Training the baseline: corpus, excerpts and conditions as for our own voice; the package's network and objective.

Read from the top: an excerpt of audio with the lanes the ears measured in it, thinned out as ours are; v at a random
noise level, in the waveform itself.
"""

from __future__ import annotations

import argparse
import copy
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from synth.baseline.model import WEIGHTS_KIND, WaveformConfig, WaveformDiffusion
from synth.baseline.voice import BASELINE_FILE
from synth.codec.weights import save_weights
from synth.corpus.dataset import ClipStore
from synth.corpus.manifest import Corpus
from synth.diffusion.conditioning import TIMBRE_DIM, TimbreScale
from synth.spec.audio import WINDOW_FRAMES
from synth.train.conditions import LANES, draw_conditions
from synth.train.diffusion import typical_timbres
from synth.train.loop import Batch, LoopConfig, LoopReport, describe, generator_of, prepare_torch, train

log = logging.getLogger(__name__)

BATCH_SIZE: Final = 32
REAL_FRACTION: Final = 0.5
_FEATURES: Final = (*(f"lane.{name}" for name in LANES), "f0_hz", "voiced", "mfcc", "technique")
_STATISTICS_BATCHES: Final = 12
_VALIDATION_EXCERPTS: Final = 32


@dataclass(frozen=True, slots=True)
class Scales:
    """Measured on the training split where somebody sings: cepstra, and the level that becomes unit variance."""

    timbre: TimbreScale
    gain: float


def measure_scales(store: ClipStore) -> Scales:
    """From random excerpts, always the same."""
    rng = np.random.default_rng(0)
    cepstra, powers = [], []
    for _ in range(_STATISTICS_BATCHES):
        arrays = store.random_excerpts(rng, BATCH_SIZE, WINDOW_FRAMES, real_fraction=REAL_FRACTION)
        sung = np.nan_to_num(arrays["lane.presence"]) > 0.5
        cepstra.append(arrays["mfcc"][..., 1 : TIMBRE_DIM + 1][sung])
        powers.append(np.square(arrays["audio"].reshape(*sung.shape, -1)[sung]).mean(axis=-1))
    c = np.concatenate(cepstra)
    timbre = TimbreScale(tuple(map(float, c.mean(0))), tuple(map(float, c.std(0) + 1e-3)))
    return Scales(timbre, float(1.0 / np.sqrt(np.concatenate(powers).mean() + 1e-9)))


def make_batch(store: ClipStore, scales: Scales, rng: np.random.Generator, n: int = BATCH_SIZE) -> Batch:
    """Draw excerpts: audio [n, WINDOW_FRAMES * HOP_SAMPLES] and conditions [n, WINDOW_FRAMES, CONDITION_DIM]."""
    arrays = store.random_excerpts(rng, n, WINDOW_FRAMES, real_fraction=REAL_FRACTION)
    features = {name: torch.from_numpy(np.ascontiguousarray(arrays[name])) for name in _FEATURES}
    condition = draw_conditions(features, scales.timbre, generator_of(rng, "cpu"))
    return {"audio": torch.from_numpy(arrays["audio"]), "condition": condition}


class BaselineTask(nn.Module):
    """The network, its objective, and the same excerpts of the validation split every time."""

    def __init__(self, network: WaveformDiffusion, validation: Batch, *, use_bf16: bool = True) -> None:
        super().__init__()
        self.network = network
        self.use_bf16 = use_bf16
        self._validation = validation

    def __deepcopy__(self, memo: dict[int, Any]) -> BaselineTask:
        """The excerpts are shared: nothing changes them."""
        return BaselineTask(copy.deepcopy(self.network, memo), self._validation, use_bf16=self.use_bf16)

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, float | Tensor]]:
        """-> (mean squared error of v, nothing more to say)."""
        audio = batch["audio"]
        with torch.autocast(audio.device.type, torch.bfloat16, enabled=self.use_bf16):
            return self.network.loss(audio, batch["condition"]).float(), {}

    def validate(self) -> dict[str, float | Tensor]:
        """The loss on the validation split; the loop seeds its noise levels."""
        device = next(self.parameters()).device
        return {"validation": self({name: value.to(device) for name, value in self._validation.items()})[0]}


def train_baseline(
    corpus_dir: Path,
    run_dir: Path,
    loop: LoopConfig,
    config: WaveformConfig | None = None,
    *,
    batch_size: int = BATCH_SIZE,
    use_bf16: bool = True,
) -> tuple[WaveformDiffusion, LoopReport]:
    """Train (or go on training) the baseline on a corpus; leaves baseline.safetensors in `run_dir`."""
    corpus = Corpus.open(corpus_dir)
    store = ClipStore(corpus, "train")
    scales = measure_scales(store)
    config = replace(config or WaveformConfig(), gain=round(scales.gain, 4))
    validation = make_batch(ClipStore(corpus, "validation"), scales, np.random.default_rng(1), _VALIDATION_EXCERPTS)
    torch.manual_seed(loop.seed)
    network = WaveformDiffusion(config)
    log.info("%.1f M parameters, %.1f minutes of sound", network.n_parameters / 1e6, store.duration_s / 60.0)
    task = BaselineTask(network, validation, use_bf16=use_bf16)
    averaged, report = train(task, lambda rng: make_batch(store, scales, rng, batch_size), loop, run_dir)
    typical = typical_timbres(store, scales.timbre)
    save_weights(
        run_dir / BASELINE_FILE,
        averaged.network.net,
        WEIGHTS_KIND,
        {
            "baseline": config.as_dict(),
            "timbre_mean": [round(v, 5) for v in scales.timbre.mean],
            "timbre_std": [round(v, 5) for v in scales.timbre.std],
            "technique_timbre": {name: [round(float(v), 3) for v in values] for name, values in typical.items()},
            "recipe": describe(loop) | {"batch_size": batch_size},
            "steps": report.steps,
            "seconds": round(report.seconds, 1),
            "loss": report.loss,
        },
    )
    return averaged.network, report


def baseline_loop(minutes: float, *, seed: int = 0, device: str = "cpu") -> LoopConfig:
    """The recipe: the package's usual Adam rate, batches drawn ahead on threads."""
    return LoopConfig(
        minutes=minutes, learning_rate=4e-4, ema_decay=0.999, seed=seed, device=device, betas=(0.9, 0.99),
        batch_threads=4 if device != "cpu" else 1, validate_every_reports=4,
    )  # fmt: skip


def main() -> None:
    """`python -m synth.train.baseline --corpus DIR --run DIR --minutes N --device cuda`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--batch-size", type=int, default=BATCH_SIZE)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--clock", choices=("wall", "processor"), default="wall", help="what --minutes counts")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    prepare_torch(arguments.threads)
    loop = baseline_loop(arguments.minutes, seed=arguments.seed, device=arguments.device)
    if arguments.clock == "processor":  # threads that draw batches beside would count twice
        loop = replace(loop, clock="processor", batch_threads=0)
    _, report = train_baseline(arguments.corpus, arguments.run, loop, batch_size=arguments.batch_size)
    log.info("finished: %s", report)


if __name__ == "__main__":
    main()
