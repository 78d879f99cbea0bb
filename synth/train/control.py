"""Control refinement: the sampler learns to give what our ears will measure, not only what it was told once.

Round by round: random lanes are sung by the network itself and measured by the ears; a reader learns what the ears say
of latents; the network is moved so that the reader, listening to whole samplings from noise, hears what was asked.
Distillation from the network as it was goes on beside it, so that it cannot please the reader by leaving the voice.
After draft-and-correct training on a model's own samples (Black et al. 2023 and Clark et al. 2024 for images: rewards
through the whole sampling); here the reward is a measurement, and it is measured anew every round.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from synth.atomic import write_atomically
from synth.codec.weights import save_weights
from synth.corpus.dataset import ClipStore
from synth.corpus.manifest import Corpus
from synth.diffusion.unet import Denoiser
from synth.engine import CODEC_FILE, DENOISER_FILE, load_codec, load_denoiser
from synth.errors import UserError
from synth.spec.audio import WINDOW_FRAMES
from synth.train.descent import Batch, resolve_device
from synth.train.diffusion import REAL_FRACTION, Statistics, make_batch
from synth.train.distill import DistillTask, Teacher, draw
from synth.train.hearing import HEARD_LANES, LANE_SCALE, Heard, Hearing, LaneReader
from synth.train.latents import KEPT_LATENTS, LatentStore
from synth.train.loop import generator_of
from synth.train.requests import Requests, random_requests

log = logging.getLogger(__name__)

_NUMBERS_OF_STEPS = (8, 4, 4, 2, 2, 1)
_POOL_FRAMES = 22
_READER_RATE, _STUDENT_RATE = 1e-3, 1.5e-4
_LEAST_KEPT = 8  # windows a round that the reader is judged by
_HEARD_ROUNDS = 8  # that the reader learns from: older ones were sung by another network
_FROM_CORPUS = 0.5  # share of the reader's windows that are the corpus's, with its labels: many, and by the same ears


@dataclass(frozen=True, slots=True)
class ControlConfig:
    """How much of everything a round has, in windows and optimiser steps.

    n_windows              listened to each round
    weight                 of the reader's error, beside the distillation's
    reader_batch, control_batch, kept_batch   windows the reader learns from, asked of the network, taken of the corpus
    first_steps            of the reader, from the corpus alone, before the first round
    """

    n_windows: int = 3_000
    network_steps: int = 250
    reader_steps: int = 600
    first_steps: int = 2_000
    weight: float = 0.3
    reader_batch: int = 128
    control_batch: int = 48
    kept_batch: int = 128
    seed: int = 0

    def __post_init__(self) -> None:
        if self.n_windows < 2 * _LEAST_KEPT:
            raise UserError(
                f"{self.n_windows} windows are too few to learn from.", remedy=f"Take {2 * _LEAST_KEPT} or more."
            )

    @classmethod
    def for_device(cls, device: torch.device, **given: Any) -> ControlConfig:
        """The recipe: on a processor rounds of some minutes, so that a short time box still holds several."""
        if device.type != "cpu":
            return cls(**given)
        small: dict[str, Any] = {"n_windows": 600, "network_steps": 60, "reader_steps": 200, "reader_batch": 48}
        small |= {"first_steps": 800}
        return cls(**small | {"control_batch": 24, "kept_batch": 32} | given)


def pooled(values: Tensor, weight: Tensor) -> Tensor:
    """Means over stretches of _POOL_FRAMES: values [B, T, L], weight [B, T, 1 or L] -> [B, stretches, L], NaN if empty.

    Ears and singers alike are held to a lane over a fifth of a second, not over every frame.
    """
    n_frames = values.shape[1] // _POOL_FRAMES * _POOL_FRAMES
    total = (values * weight)[:, :n_frames].unflatten(1, (-1, _POOL_FRAMES)).sum(2)
    count = weight.expand_as(values)[:, :n_frames].unflatten(1, (-1, _POOL_FRAMES)).sum(2)
    return torch.where(count > 0.5 * _POOL_FRAMES, total / count.clamp(min=1.0), torch.nan)


def masked_distance(made: Tensor, wanted: Tensor, weight: Tensor) -> Tensor:
    """Mean absolute error where `wanted` is a number, `weight` [L] per lane; errors under 0.05 count less."""
    good = torch.isfinite(wanted) & torch.isfinite(made)
    error = torch.nn.functional.smooth_l1_loss(
        torch.where(good, made, 0.0), torch.where(good, wanted, 0.0), reduction="none", beta=0.05
    )
    return (error * weight * good).sum() / good.sum().clamp(min=1)


class ControlRun:
    """Everything a refinement holds on to: network, reader, ears, corpus.

    denoiser   what is moved: the teacher itself, or where an earlier call left it
    teacher    what it must stay near
    """

    def __init__(
        self,
        denoiser: Denoiser,
        teacher: Denoiser,
        statistics: Statistics,
        latents: LatentStore,
        hearing: Hearing,
        config: ControlConfig,
    ) -> None:
        self.device = latents.device
        self.statistics, self.latents, self.hearing = statistics, latents, hearing
        self.config = config
        known = tuple(sorted(set(_NUMBERS_OF_STEPS), reverse=True))
        kept = Teacher(teacher, {}, jumps=True)
        self.task = DistillTask(denoiser, kept, 0, known, 1.0, weight=statistics.weight).to(self.device)
        self.reader = LaneReader(denoiser.config.latent_dim).to(self.device)
        self.reader_optimizer = torch.optim.AdamW(self.reader.parameters(), lr=_READER_RATE, weight_decay=1e-2)
        self.optimizer = torch.optim.AdamW(self.task.student.parameters(), lr=_STUDENT_RATE, betas=(0.9, 0.98))
        self.rng = np.random.default_rng(config.seed)
        self.lane_weight = torch.ones(len(HEARD_LANES), device=self.device)
        self._mean = torch.from_numpy(statistics.mean).to(self.device)
        self._std = torch.from_numpy(statistics.std).to(self.device)

    def listen(self, n: int, n_steps: int) -> tuple[Requests, Tensor, Tensor]:
        """Draw n windows and measure them -> (what was asked, scaled latents, measured lanes)."""
        generator = generator_of(self.rng, self.device)
        requests = random_requests(self.statistics, generator, n)
        noise = torch.randn((n, WINDOW_FRAMES, len(self._mean)), generator=generator, device=self.device)
        with torch.no_grad(), torch.autocast(self.device.type, torch.bfloat16):
            chunks = zip(requests.condition.split(512), noise.split(512), strict=True)
            drawn = torch.cat([draw(self.task.student, c, z, n_steps).float() for c, z in chunks])
        return requests, drawn, self.hearing.lanes(drawn * self._std + self._mean, requests.f0_hz)

    def report(self, requests: Requests, measured: Tensor) -> dict[str, dict[str, float]]:
        """Slope, correlation and mean absolute error of every lane, over stretches of a fifth of a second.

        A lane that the ears could measure nowhere is left out.
        """
        figures = {}
        good = requests.wanted[..., None] * torch.isfinite(measured)
        asked, heard = pooled(requests.lanes, good), pooled(torch.nan_to_num(measured), good)
        for index, name in enumerate(HEARD_LANES):
            x, y = asked[..., index].flatten(), heard[..., index].flatten()
            both = torch.isfinite(x) & torch.isfinite(y)
            if not both.any():
                continue
            x, y = x[both].double().cpu().numpy(), y[both].double().cpu().numpy()
            deviation = (x - x.mean()) * (y - y.mean())
            slope = deviation.mean() / max(x.var(), 1e-9)
            correlation = deviation.mean() / max(x.std() * y.std(), 1e-9)  # 0 where nothing moves
            error = float(np.abs(x - y).mean())
            figures[name] = {"slope": float(slope), "correlation": float(correlation), "error": error}
        return figures

    def teach_reader(self, heard: Heard, kept: Heard, n_steps: int) -> dict[str, float]:
        """Fit the reader to what the ears said of drawn latents -> share of variance it explains, lane by lane.

        kept   windows that the reader never learns from, for that figure. Lanes it cannot read, or that could not be
               measured there, are weighted down when the network is moved
        """
        n_corpus = round(_FROM_CORPUS * self.config.reader_batch)
        self._fit_reader(n_steps, n_corpus, heard)
        self.reader.eval().requires_grad_(False)
        explained = {}
        with torch.no_grad():
            good = torch.isfinite(kept.lanes).float()
            read = pooled(self.reader(kept.latents, kept.f0_hz).float(), good)
            wanted = pooled(torch.nan_to_num(kept.lanes), good)
        for index, name in enumerate(HEARD_LANES):
            y, x = wanted[..., index], read[..., index]
            both = torch.isfinite(y) & torch.isfinite(x)
            # Of fewer than two there is no variance: NaN in a lane's weight would spoil the whole network.
            residual = (y - x)[both].var() / y[both].var().clamp(min=1e-6) if both.sum() > 1 else 1.0
            explained[name] = float(1.0 - residual)
            self.lane_weight[index] = max(explained[name], 0.0)
        return explained

    def favour_the_lagging(self, figures: Mapping[str, Mapping[str, float]]) -> None:
        """Weight lanes by what `report` says still separates them from obeying, too: at equal weights, lanes that
        follow already would go on being polished at the cost of those that do not."""
        lag = torch.tensor(
            [1.0 - figures[name]["correlation"] if name in figures else 0.0 for name in HEARD_LANES],
            device=self.device, dtype=torch.float32,
        )  # fmt: skip
        self.lane_weight *= lag / lag.mean().clamp(min=1e-3)

    def begin_reader(self, n_steps: int) -> None:
        """Let the reader learn from the corpus alone, so that the first round's few windows are not all it knows."""
        self._fit_reader(n_steps, self.config.reader_batch, None)

    def _fit_reader(self, n_steps: int, n_corpus: int, heard: Heard | None) -> None:
        """`n_corpus` windows of each batch are the corpus's, the others of `heard`."""
        self.reader.train().requires_grad_(True)
        for step in range(n_steps):
            rate = min(1.0, (step + 1) / 50) * (1.0 - 0.9 * step / n_steps) * _READER_RATE
            for group in self.reader_optimizer.param_groups:
                group["lr"] = rate
            parts = [self._corpus_heard(n_corpus)] if n_corpus else []
            if heard is not None:
                rows = self.rng.integers(0, len(heard.latents), self.config.reader_batch - n_corpus)
                parts.append(heard.rows(torch.from_numpy(rows).to(self.device)))
            batch = Heard.joined(parts)
            noisy = batch.latents + 0.02 * torch.randn_like(batch.latents)
            with torch.autocast(self.device.type, torch.bfloat16):
                read = self.reader(noisy, batch.f0_hz).float()
            loss = masked_distance(read, batch.lanes, torch.ones_like(self.lane_weight))
            self.reader_optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(self.reader.parameters(), 1.0)
            self.reader_optimizer.step()

    def _corpus_heard(self, n: int) -> Heard:
        """Excerpts of the corpus with the lanes it was labelled with, NaN where nobody sings."""
        generator = generator_of(self.rng, self.device)
        latents, features = self.latents.random_excerpts(generator, n, WINDOW_FRAMES, real_fraction=REAL_FRACTION)
        sung = torch.nan_to_num(features["lane.presence"]) > 0.5
        lanes = torch.stack([features[f"lane.{name}"] / LANE_SCALE[name] for name in HEARD_LANES], dim=-1)
        lanes = torch.where(sung[..., None], lanes, torch.nan)
        return Heard((latents - self._mean) / self._std, features["f0_hz"], lanes)

    def move_network(self, n_steps: int, warm_steps: int = 20) -> dict[str, float]:
        """Move the network for `n_steps` steps -> mean losses. UserError when it diverges."""
        self.task.train()
        control_sum = torch.zeros((), device=self.device)
        keep_sum = torch.zeros((), device=self.device)
        for step in range(n_steps):
            for group in self.optimizer.param_groups:
                group["lr"] = _STUDENT_RATE * min(1.0, (step + 1) / warm_steps) * (1.0 - 0.8 * step / n_steps)
            generator = generator_of(self.rng, self.device)
            n_asked = self.config.control_batch
            requests = random_requests(self.statistics, generator, n_asked)
            noise = torch.randn((n_asked, WINDOW_FRAMES, len(self._mean)), generator=generator, device=self.device)
            with torch.autocast(self.device.type, torch.bfloat16):
                drawn = draw(self.task.student, requests.condition, noise, int(self.rng.choice(_NUMBERS_OF_STEPS)))
                read = self.reader(drawn, requests.f0_hz).float()
            wanted = requests.wanted[..., None]
            control = masked_distance(pooled(read, wanted), pooled(requests.lanes, wanted), self.lane_weight)
            kept, _ = self.task(self._corpus_batch())
            self.optimizer.zero_grad(set_to_none=True)
            (self.config.weight * control + kept).backward()
            if not torch.isfinite(nn.utils.clip_grad_norm_(self.task.student.parameters(), 1.0)):
                raise UserError(
                    "The refinement diverged: a gradient is not finite.",
                    remedy="The weights of the last round are in the run folder; go on with a lower --weight.",
                )
            self.optimizer.step()
            control_sum += control.detach()
            keep_sum += kept.detach()
        self.task.eval()
        return {"control": float(control_sum) / n_steps, "kept": float(keep_sum) / n_steps}

    def _corpus_batch(self) -> Batch:
        return make_batch(
            self.latents, self.statistics, self.rng, batch_size=self.config.kept_batch,
            frame_multiple=self.task.student.config.frame_multiple, short=False,
        )  # fmt: skip


def refine(
    corpus_dir: Path,
    weights_dir: Path,
    run_dir: Path,
    *,
    minutes: float,
    device: str = "auto",
    n_workers: int = 2,
    config: ControlConfig | None = None,
) -> Denoiser:
    """Refine the denoiser in `weights_dir`, round by round (one at least) until the time is over.

    Each round leaves its weights in `run_dir`/round-N and its figures in control.json; the last round's weights are in
    `run_dir` itself. A run that was stopped goes on after its last finished round.
    """
    place = resolve_device(device)
    config = config or ControlConfig.for_device(place)
    teacher, stored = load_denoiser(weights_dir / DENOISER_FILE)
    rounds = _finished_rounds(run_dir)
    denoiser = load_denoiser(run_dir / DENOISER_FILE)[0] if rounds else teacher
    codec = load_codec(weights_dir / CODEC_FILE).to(place)
    latents = LatentStore(ClipStore(Corpus.open(corpus_dir), "train"), codec, kept_in=corpus_dir / KEPT_LATENTS)
    statistics = Statistics.from_config(stored)
    torch.manual_seed(config.seed)
    hearing = Hearing.start(codec, n_workers)
    config = replace(config, seed=config.seed + len(rounds))
    run = ControlRun(denoiser.to(place), teacher.to(place), statistics, latents, hearing, config)
    try:
        _go_round(run, rounds, stored, run_dir, minutes)
    finally:
        hearing.close()
    return run.task.student


def _go_round(
    run: ControlRun, rounds: list[dict[str, Any]], stored: dict[str, Any], run_dir: Path, minutes: float
) -> None:
    """Listen, teach the reader, move the network, save; until the time is over, and listen once more."""
    config = run.config
    started_s = time.monotonic() - (float(rounds[-1]["seconds"]) if rounds else 0.0)
    heard: list[Heard] = []
    run.begin_reader(config.first_steps)
    while True:
        requests, drawn, measured = run.listen(config.n_windows, (4, 2, 8, 1)[len(rounds) % 4])
        figures = run.report(requests, measured)
        rounds.append({"round": len(rounds), "seconds": time.monotonic() - started_s, "lanes": figures})
        log.info("round %d: %s", len(rounds) - 1, json.dumps(figures))
        if len(rounds) > 1 and time.monotonic() - started_s > minutes * 60:
            break
        kept, learnt = Heard(drawn, requests.f0_hz, measured).split(max(config.n_windows // 10, _LEAST_KEPT))
        heard = [*heard[1 - _HEARD_ROUNDS :], learnt]
        explained = run.teach_reader(Heard.joined(heard), kept, config.reader_steps)
        run.favour_the_lagging(figures)
        losses = run.move_network(config.network_steps)
        rounds[-1] |= {"reader_explains": explained} | losses | {"seconds": time.monotonic() - started_s}
        log.info("reader explains %s; %s", json.dumps(explained), json.dumps(losses))
        stored["control"] = {"rounds": len(rounds), **asdict(config)}
        for folder in (run_dir / f"round-{len(rounds)}", run_dir):
            folder.mkdir(parents=True, exist_ok=True)
            save_weights(folder / DENOISER_FILE, run.task.student, "denoiser", stored)
        write_atomically(run_dir / "control.json", json.dumps(rounds, indent=1).encode())
    # The last listening moved nothing: it is the figures of what is shipped.
    write_atomically(run_dir / "control.json", json.dumps(rounds, indent=1).encode())


def _finished_rounds(run_dir: Path) -> list[dict[str, Any]]:
    """What an earlier call left: the rounds that moved the network. UserError for a file that is not ours."""
    path = run_dir / "control.json"
    if not path.exists():
        return []
    try:
        return [found for found in json.loads(path.read_text()) if "reader_explains" in found]
    except (ValueError, TypeError) as fault:
        raise UserError(f"{path} is not the figures of a refinement.", remedy="Give another run folder.") from fault


def main() -> None:
    """`python -m synth.train.control --corpus DIR --weights DIR --run DIR --minutes N`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True, help="folder of codec and distilled denoiser")
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--workers", type=int, default=2, help="processes that listen")
    for name in (
        "windows",
        "network-steps",
        "reader-steps",
        "first-steps",
        "reader-batch",
        "control-batch",
        "kept-batch",
        "seed",
    ):
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--weight", type=float)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    given = vars(arguments) | {"n_windows": arguments.windows}
    names = {field.name for field in fields(ControlConfig)}
    chosen = {name: value for name, value in given.items() if name in names and value is not None}
    refine(
        arguments.corpus, arguments.weights, arguments.run,
        minutes=arguments.minutes, device=arguments.device, n_workers=arguments.workers,
        config=ControlConfig.for_device(resolve_device(arguments.device), **chosen),
    )  # fmt: skip


if __name__ == "__main__":
    main()
