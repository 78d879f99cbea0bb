"""Training the codec: audio -> latents -> audio, with the pitch and the explicit excitation given.

Read from the top: a batch is audio with its measured features, cut out of a store on the device; the encoder
compresses it; the decoder filters an excitation built from the measured F0 and irregularity; spectra, band levels,
their modulation and harmonicity are compared. That is the first stage; in the second, discriminators join in. A codec
that exists can be polished: its decoder alone goes on learning, so that every latent, and whatever was trained on
latents, stays what it was.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from synth.atomic import write_atomically
from synth.codec.model import Codec, CodecConfig, scaled_log_f0
from synth.codec.weights import save_weights
from synth.corpus.dataset import AUGMENT_RANGE_DB, ClipStore
from synth.corpus.manifest import Corpus
from synth.engine import load_codec
from synth.train.adversarial import Discriminators, play
from synth.train.checkpoint import load_average
from synth.train.codec_inputs import encoder_features, encoder_inputs, excitation_frames, explicit_inputs
from synth.train.codec_inputs import explicit_latents as explicit_latents
from synth.train.codec_start import start_from_spectra
from synth.train.codec_subframes import centre_subframes, hold_low_filters_together, make_subframes_alike
from synth.train.descent import move_batch, resolve_device
from synth.train.device_store import DeviceStore
from synth.train.loop import BEST_FILE, VALIDATION, LoopConfig, LoopReport, describe, train
from synth.train.losses import BandLosses, MultiResolutionSpectralLoss, alternation_loss, hnr_loss, ripple_loss

__all__ = ["CodecTask", "encoder_features", "excitation_frames", "explicit_latents", "make_batch", "train_codec"]
log = logging.getLogger(__name__)

Batch = dict[str, Tensor]
EXCERPT_FRAMES = 100
REAL_FRACTION = 0.6
BATCH_SIZE = {"cpu": 12, "cuda": 64}
ADVERSARIAL_SHARE = 0.45  # of the time box
_LEARNING_RATE = 1.5e-3
_ADVERSARIAL_RATE = 0.3  # of the first stage's learning rate
_POLISHING_RATE = 0.3  # likewise
_ALTERNATES = 0.01  # nepers squared: a decoder that was trained without minding it has 0.1, one that does 0.001
_ADVERSARIAL_EXCERPTS = 32  # of a batch: discriminators are dear
# Spectra count every bin alike, and most bins lie high: without weight on bands, low harmonics stay 3 to 6 dB weak.
_WEIGHTS = {
    "spectral": 1.0, "mel": 0.6, "mel_100ms": 1.6, "modulation": 0.6, "hnr": 0.1, "prior": 0.005, "ripple": 0.05,
    "alternation": 20.0, "fooling": 0.05, "matching": 1.0, "judge": 1.0,
}  # fmt: skip
_EXPLICIT_NOISE = 0.05
_F0_SHIFT_SEMITONES = 9.0
_F0_SHIFTED, _F0_DROPPED = 0.7, 0.1
_START_EXCERPTS = 96
_CENTRED_BATCHES = 10
_VALIDATION_BATCHES = 3
_VALIDATION_SIZE = 24
# What discriminators add is not in the distances: so much of them may be lost for it.
_TOLERATED_LOSS = 1.03


def make_batch(
    store: DeviceStore, step: int, n: int, *, real_fraction: float = REAL_FRACTION, augment_db: float = AUGMENT_RANGE_DB
) -> Batch:
    """Excerpts of a store with their excitation, as CodecTask takes them; a function of (the store's seed, step)."""
    drawn = store.random_excerpts(
        step, n, EXCERPT_FRAMES, real_fraction=real_fraction, augment_db=augment_db, with_excitation=True
    )
    hnr_db = drawn["phys.hnr_db"]
    singing = (torch.nan_to_num(drawn["lane.presence"]) > 0.5) & torch.isfinite(hnr_db)
    return {
        "audio": drawn["audio"],
        "features": encoder_inputs(drawn),
        "explicit": explicit_inputs(drawn),
        "f0_hz": drawn["f0_hz"],
        "excitation": drawn["excitation"],
        "hnr_db": torch.nan_to_num(hnr_db),
        "singing": singing.float(),
    }


class HeldOutBatches:
    """Batches a task is validated on. Copies of the task share them."""

    def __init__(self, batches: list[Batch]) -> None:
        self._batches = batches

    def __iter__(self) -> Iterator[Batch]:
        return iter(self._batches)

    def __deepcopy__(self, _memo: dict[int, Any]) -> HeldOutBatches:
        return self


class CodecTask(nn.Module):
    """The codec and what it is judged by, so that the loop sees one module.

    adversarial   discriminators are trained beside the codec, which is asked to fool them
    held_out      what `validate` measures; empty: it measures nothing
    """

    not_averaged = ("discriminators",)

    def __init__(
        self,
        codec: Codec,
        *,
        use_bf16: bool = True,
        adversarial: bool = False,
        held_out: HeldOutBatches | None = None,
    ) -> None:
        super().__init__()
        self.codec = codec
        self.spectral = MultiResolutionSpectralLoss()
        self.bands = BandLosses()
        self.discriminators = Discriminators() if adversarial else None
        self.use_bf16 = use_bf16
        self.held_out = held_out or HeldOutBatches([])

    def parameters_for_optimizer(self) -> list[dict[str, Any]]:
        """The discriminators forget faster and are clipped on their own. What needs no gradient is left out."""
        learning = [parameter for parameter in self.codec.parameters() if parameter.requires_grad]
        groups: list[dict[str, Any]] = [{"params": learning, "apart": False}]
        if self.discriminators is not None:
            own = list(self.discriminators.parameters())
            groups.append({"params": own, "betas": (0.5, 0.9), "weight_decay": 0.0, "apart": True})
        return groups

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """-> (loss, figures on the device)."""
        audio = batch["audio"]
        with torch.autocast(audio.device.type, torch.bfloat16, enabled=self.use_bf16):
            mean = self.codec.encoder(audio, batch["features"]).float()
            noisy = mean + self.codec.config.posterior_std * torch.randn_like(mean)
            explicit = batch["explicit"] + _EXPLICIT_NOISE * torch.randn_like(batch["explicit"])
            log_f0 = bent_log_f0(batch["f0_hz"])
            gains, gates = self.codec.decoder.controls(torch.cat([noisy, explicit], -1), log_f0)
        made = self.codec.decoder.synthesise(gains, batch["excitation"], gates)
        figures = self._distances(made, audio)
        figures["hnr"] = hnr_loss(gains, batch["hnr_db"], batch["singing"])
        figures["ripple"] = ripple_loss(gains, batch["f0_hz"])
        figures["alternation"] = alternation_loss(gains)
        figures["prior"] = 0.5 * mean.square().mean()
        if self.discriminators is not None:
            figures |= self._game(made[:_ADVERSARIAL_EXCERPTS], audio[:_ADVERSARIAL_EXCERPTS])
        loss = torch.stack([_WEIGHTS[name] * part for name, part in figures.items()]).sum()
        return loss, {name: part.detach() for name, part in figures.items()}

    def _distances(self, made: Tensor, wanted: Tensor) -> dict[str, Tensor]:
        return {"spectral": self.spectral(made, wanted), **self.bands(made, wanted)}

    def _game(self, made: Tensor, wanted: Tensor) -> dict[str, Tensor]:
        assert self.discriminators is not None
        with torch.autocast(made.device.type, torch.bfloat16, enabled=self.use_bf16):
            game = play(self.discriminators, made, wanted)
        return {"judge": game.judge, "fooling": game.fooling, "matching": game.matching}

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Distances on the held-out batches, latents without noise and the true F0; "validation" is their mean."""
        found: list[dict[str, Tensor]] = []
        for batch in self.held_out:
            batch = move_batch(batch, self.bands.get_buffer("window_slow").device)  # a full GPU may have been left
            latents = torch.cat([self.codec.encoder(batch["audio"], batch["features"]).float(), batch["explicit"]], -1)
            made = self.codec.decoder(latents, scaled_log_f0(batch["f0_hz"]), batch["excitation"])
            found.append(self._distances(made, batch["audio"]))
        if not found:
            return {}
        means = {f"held_out_{name}": float(torch.stack([one[name] for one in found]).mean()) for name in found[0]}
        return means | {VALIDATION: float(np.mean(list(means.values())))}


def bent_log_f0(f0_hz: Tensor) -> Tensor:
    """What the filters are told of F0 [B, T]: mostly shifted by up to nine semitones an excerpt, sometimes nothing.

    The filters must be those of the voice, not of one pitch: latents are bent by an octave without sampling again.
    """
    log_f0 = scaled_log_f0(f0_hz)
    chance, shift = torch.rand(2, len(f0_hz), 1, device=f0_hz.device)
    semitones = (2.0 * shift - 1.0) * _F0_SHIFT_SEMITONES * (chance < _F0_SHIFTED)
    return torch.where(chance > 1.0 - _F0_DROPPED, 0.0, log_f0 + semitones * (np.log(2.0) / 12.0))


def train_codec(
    corpus_dir: Path,
    run_dir: Path,
    loop: LoopConfig,
    *,
    config: CodecConfig | None = None,
    batch_size: int | None = None,
    adversarial: bool | None = None,
    use_bf16: bool = True,
    n_workers: int = 0,
) -> tuple[Codec, LoopReport]:
    """Train (or go on training) a codec on a corpus; leaves codec.safetensors in `run_dir`.

    With `adversarial` (None: where there is a GPU, for discriminators are dear), the last ADVERSARIAL_SHARE of the
    time box is a second stage that starts from the first one's average. Each stage keeps its own folder and its own
    weights; the one that validates better is codec.safetensors.
    """
    device = resolve_device(loop.device)
    adversarial = device.type == "cuda" if adversarial is None else adversarial
    corpus = Corpus.open(corpus_dir)
    n_realisations = 2 if device.type == "cuda" else 1
    store = DeviceStore(ClipStore(corpus, "train"), device, n_realisations=n_realisations, n_workers=n_workers)
    log.info("the corpus takes %.0f MB on %s", store.n_bytes / 2**20, device)
    held_out = _held_out(corpus, device)
    size = batch_size or BATCH_SIZE[device.type]

    def batches(seed: int) -> Callable[[np.random.Generator], Batch]:
        return lambda rng: make_batch(store, seed + int(rng.integers(2**48)), size)

    torch.manual_seed(loop.seed)
    codec = Codec(config)
    if codec.config.encoder_skip and codec.config.decoder_skip:
        example = make_batch(store, 0, _START_EXCERPTS, augment_db=0.0)
        share = start_from_spectra(codec.to(device), example["audio"], example["features"])
        log.info("linear paths explain %.1f %% of the filters they should give", 100.0 * share)
    hold_low_filters_together(codec.decoder)
    task = CodecTask(codec, use_bf16=use_bf16, held_out=held_out)
    first = _shortened(loop, 1.0 - ADVERSARIAL_SHARE) if adversarial else loop
    averaged, report = _stage(task, batches(0), first, run_dir, "reconstruction")
    if adversarial and not report.stopped:
        hold_low_filters_together(averaged.codec.requires_grad_(True).decoder)
        task = CodecTask(averaged.codec, use_bf16=use_bf16, adversarial=True, held_out=held_out)
        second = replace(
            _shortened(loop, ADVERSARIAL_SHARE),
            learning_rate=_ADVERSARIAL_RATE * loop.learning_rate,
            seed=loop.seed + 1,
        )
        averaged, report = _stage(task, batches(1), second, run_dir, "adversarial")
    _choose(run_dir)
    return load_chosen(run_dir), report


def polish_codec(
    corpus_dir: Path,
    run_dir: Path,
    loop: LoopConfig,
    *,
    start: Path,
    batch_size: int | None = None,
    use_bf16: bool = True,
    n_workers: int = 0,
) -> tuple[Codec, LoopReport]:
    """Train (or go on training) the decoder of the codec in `start`; leaves codec.safetensors in `run_dir`.

    What `start` validates at is in polished/start.json. The encoder is left alone: denoisers and latents made with
    `start` go with what comes out. The learning rate is
    _POLISHING_RATE of `loop`'s. Raises UserError when `start` is not a codec.
    """
    device = resolve_device(loop.device)
    corpus = Corpus.open(corpus_dir)
    store = DeviceStore(ClipStore(corpus, "train"), device, n_realisations=1, n_workers=n_workers)
    size = batch_size or BATCH_SIZE[device.type]
    torch.manual_seed(loop.seed)
    codec = load_codec(start)
    codec.train()
    codec.decoder.requires_grad_(True)
    task = CodecTask(codec, use_bf16=use_bf16, held_out=_held_out(corpus, device)).to(device)
    with torch.no_grad():
        alternation = float(task(make_batch(store, 0, size))[1]["alternation"])
    start_figures = {"alternation": alternation, **task.validate()}
    (run_dir / "polished").mkdir(parents=True, exist_ok=True)
    write_atomically(run_dir / "polished" / "start.json", json.dumps(start_figures, indent=2).encode())
    hold_low_filters_together(codec.decoder)
    if alternation > _ALTERNATES:
        make_subframes_alike(codec.decoder)
    polishing = replace(loop, learning_rate=_POLISHING_RATE * loop.learning_rate)
    _, report = _stage(
        task, lambda rng: make_batch(store, int(rng.integers(2**48)), size), polishing, run_dir, "polished"
    )
    write_atomically(run_dir / "codec.safetensors", (run_dir / "codec_polished.safetensors").read_bytes())
    return load_chosen(run_dir), report


def _shortened(loop: LoopConfig, share: float) -> LoopConfig:
    return replace(loop, minutes=share * loop.minutes, max_steps=max(1, round(share * loop.max_steps)))


def _held_out(corpus: Corpus, device: torch.device) -> HeldOutBatches:
    """The same few recorded excerpts of the validation split every time; none where it is empty."""
    if not any(record.kind == "real" for record in corpus.split("validation")):
        log.info("no recordings to validate on: the last weights will be taken")
        return HeldOutBatches([])
    store = DeviceStore(ClipStore(corpus, "validation"), device, seed=1, n_realisations=1)
    steps = range(_VALIDATION_BATCHES)
    return HeldOutBatches(
        [make_batch(store, step, _VALIDATION_SIZE, real_fraction=1.0, augment_db=0.0) for step in steps]
    )


def _stage(
    task: CodecTask, batches: Callable[[np.random.Generator], Batch], loop: LoopConfig, run_dir: Path, name: str
) -> tuple[CodecTask, LoopReport]:
    """One stage, resumed where it was left; its best average is in codec_<name>.safetensors."""
    averaged, report = train(task, batches, loop, run_dir / name)
    best = run_dir / name / BEST_FILE
    if best.exists():
        load_average(best, averaged)
    _centre(averaged, batches, loop.seed)
    recipe = {"stage": name, **describe(loop)}
    settings = {"codec": averaged.codec.config.as_dict(), "recipe": recipe, "steps": report.steps, "loss": report.loss}
    save_weights(run_dir / f"codec_{name}.safetensors", averaged.codec, "codec", settings)
    figures = {"steps": float(report.steps), **averaged.validate()}
    write_atomically(run_dir / name / "validation.json", json.dumps(figures, indent=2).encode())
    log.info("%s: %s", name, figures)
    return averaged, report


@torch.no_grad()
def _centre(task: CodecTask, batches: Callable[[np.random.Generator], Batch], seed: int) -> None:
    """Take out what the decoder's sub-frames still differ by on average, as a few batches tell it."""
    rng = np.random.default_rng(seed)
    device = task.bands.get_buffer("window_slow").device
    drawn = [move_batch(batches(rng), device) for _ in range(_CENTRED_BATCHES)]
    latents = [torch.cat([task.codec.encoder(b["audio"], b["features"]).float(), b["explicit"]], -1) for b in drawn]
    log_f0 = torch.cat([scaled_log_f0(batch["f0_hz"]) for batch in drawn])
    swing_db = centre_subframes(task.codec.decoder, torch.cat(latents), log_f0)
    log.info("sub-frames differed by up to %.2f dB on average", swing_db)


def load_chosen(run_dir: Path) -> Codec:
    """The codec that `train_codec` left in `run_dir`, on the CPU."""
    return load_codec(run_dir / "codec.safetensors")


def _choose(run_dir: Path) -> str:
    """Copy the better stage's weights to codec.safetensors -> its name."""
    chosen = "reconstruction"
    before, after = (_validation(run_dir / name) for name in ("reconstruction", "adversarial"))
    if after is not None and (before is None or not after > _TOLERATED_LOSS * before):
        chosen = "adversarial"
    write_atomically(run_dir / "codec.safetensors", (run_dir / f"codec_{chosen}.safetensors").read_bytes())
    log.info("codec.safetensors is that of the %s stage", chosen)
    return chosen


def _validation(stage_dir: Path) -> float | None:
    """What a finished stage validated at; NaN without held-out recordings, None when it did not run."""
    path = stage_dir / "validation.json"
    return float(json.loads(path.read_text()).get(VALIDATION, float("nan"))) if path.exists() else None


def codec_loop(minutes: float, *, seed: int = 0, device: str = "cpu") -> LoopConfig:
    """The recipe."""
    return LoopConfig(minutes=minutes, learning_rate=_LEARNING_RATE, ema_decay=0.999, seed=seed, device=device)


def main() -> None:
    """`python -m synth.train.codec --corpus DIR --run DIR --minutes N`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--batch", type=int, help="excerpts of a second in a batch")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=min(os.cpu_count() or 1, 16), help="processes before training")
    parser.add_argument("--learning-rate", type=float, default=_LEARNING_RATE)
    parser.add_argument("--max-steps", type=int, default=10**9)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--polish", type=Path, metavar="FILE", help="go on with this codec's decoder alone")
    parser.add_argument("--adversarial", action=argparse.BooleanOptionalAction, default=None)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(arguments.threads)
    torch.backends.cuda.matmul.allow_tf32 = True
    loop = codec_loop(arguments.minutes, seed=arguments.seed, device=arguments.device)
    loop = replace(loop, learning_rate=arguments.learning_rate, max_steps=arguments.max_steps)
    if arguments.polish is not None:
        _, report = polish_codec(
            arguments.corpus, arguments.run, loop, start=arguments.polish, batch_size=arguments.batch,
            n_workers=arguments.workers,
        )  # fmt: skip
    else:
        _, report = train_codec(
            arguments.corpus, arguments.run, loop, batch_size=arguments.batch, adversarial=arguments.adversarial,
            n_workers=arguments.workers,
        )  # fmt: skip
    log.info("finished: %s", report)


if __name__ == "__main__":
    main()
