"""The study of stage-adaptive training at a small scale: paired tiny runs of every mechanism, and what comes of them.

Read from the top: the corpus is encoded once; encoders are trained (one that guides, another seed of it, and a judge of
another kind that guides nothing); every arm is trained with every seed for the same number of steps; everything goes
into ablation.json; synth.evaluate.stage_report makes tables and plots of it.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from synth.corpus.clip_file import write_atomically
from synth.corpus.dataset import ClipStore
from synth.corpus.manifest import Corpus
from synth.diffusion.unet import Injection
from synth.engine import load_codec
from synth.spec.audio import WINDOW_FRAMES
from synth.ssl.encoder import AudioEncoder, LogMelEncoder, SslConfig, SslEncoder, random_encoder
from synth.train.ablation_data import MATERIAL_FILE, load, prepare
from synth.train.ablation_measures import Judge
from synth.train.ablation_runs import Arm, RunPlan, StackRun, study_arms
from synth.train.descent import resolve_device
from synth.train.latent_sound import LatentSound
from synth.train.loop import LoopConfig
from synth.train.mel_bank import MelBank
from synth.train.ssl import WEIGHTS_FILE, neighbour_accuracy, train_on_bank

log = logging.getLogger(__name__)

RESULTS_FILE = "ablation.json"
ENCODERS = {"ours": ("latent", 0), "second seed": ("latent", 1), "judge": ("spectrogram", 2)}
_TIMED_STEPS = 12
_FEWEST_STEPS, _MOST_STEPS = 40, 20_000
_UNTRAINED_SEED = 77


@dataclass(frozen=True, slots=True)
class Job:
    """One stack of runs for one process. Everything else is read from the run folder."""

    run_dir: Path
    codec_path: Path
    device: str
    threads: int
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    plan: RunPlan


def encoder_path(run_dir: Path, name: str) -> Path:
    """Where an encoder of the study lies."""
    return run_dir / f"ssl {name}".replace(" ", "-") / WEIGHTS_FILE


def build(job: Job) -> StackRun:
    """Read the material and the encoders, and set the runs up."""
    torch.set_num_threads(job.threads)
    torch.set_float32_matmul_precision("high")
    material = load(job.run_dir / MATERIAL_FILE, job.device)
    sound = LatentSound(load_codec(job.codec_path), material.mean, material.std).to(job.device)
    trained = {name: SslEncoder.load(encoder_path(job.run_dir, name)).to(job.device) for name in ENCODERS}
    judge = Judge(material, sound, trained.pop("judge"))
    encoders: dict[str, AudioEncoder] = dict(trained)
    encoders["untrained"] = random_encoder(_UNTRAINED_SEED).to(job.device)
    encoders["log-mel"] = LogMelEncoder(job.device)
    return StackRun(job.arms, job.seeds, material, sound, encoders, judge, job.plan)


def time_job(job: Job) -> float:
    """Seconds a step."""
    stack = build(job)
    stack.train(_TIMED_STEPS // 2)
    return stack.train(_TIMED_STEPS) / _TIMED_STEPS


def run_job(job: Job) -> list[dict[str, Any]]:
    """Train the stack -> its runs' results."""
    stack = build(job)
    results = stack.results(stack.train())
    for result in results:
        result["real_to_real"] = stack.judge.real_to_real
        result["peak_device_mb"] = _peak_device_mb(job.device)
    return results


def _peak_device_mb(device: str) -> float:
    return round(torch.cuda.max_memory_allocated() / 2**20, 1) if device.startswith("cuda") else 0.0


def split_jobs(job: Job, arms: Sequence[Arm], seeds: Sequence[int], most_runs: int) -> list[Job]:
    """One job a denoiser shape, cut by seeds so that none has more than about `most_runs` runs."""
    jobs = []
    shapes: list[Injection] = ["both", "film", "attention"]
    for shape in shapes:
        mine = tuple(arm for arm in arms if arm.injection == shape)
        if not mine:
            continue
        n_seeds = max(1, most_runs // len(mine))
        for first in range(0, len(seeds), n_seeds):
            jobs.append(replace(job, arms=mine, seeds=tuple(seeds[first : first + n_seeds])))
    return jobs


def train_encoder(run_dir: Path, name: str, seconds: float, device: str, threads: int, batch: int) -> dict[str, Any]:
    """Train one of the study's encoders, or keep the one that is there -> what is known of it."""
    target, seed = ENCODERS[name]
    path = encoder_path(run_dir, name)
    torch.set_num_threads(threads)
    known = MelBank.load(run_dir / "mel-train.safetensors", device)
    asked = MelBank.load(run_dir / "mel-validation.safetensors", device)
    notes: dict[str, Any] = {"target": target, "seed": seed}
    if path.exists():
        encoder = SslEncoder.load(path).to(device)
    else:
        loop = LoopConfig(minutes=seconds / 60, learning_rate=1e-3, ema_decay=0.995, seed=seed)
        config = SslConfig(seed=seed, target=target)
        encoder, report = train_on_bank(known, path.parent, loop, config, batch_size=batch)
        notes |= {"steps": report.steps, "loss": report.loss}
    return notes | {"technique_by_neighbours": neighbour_accuracy(encoder, known, asked)}


def prepare_all(arguments: argparse.Namespace, device: str, pool: Executor) -> dict[str, Any]:
    """Material and encoders in the run folder; what is there already is kept."""
    run_dir: Path = arguments.run
    run_dir.mkdir(parents=True, exist_ok=True)
    corpus = Corpus.open(arguments.corpus)
    for split in ("train", "validation"):
        path = run_dir / f"mel-{split}.safetensors"
        if not path.exists():
            MelBank.of_store(ClipStore(corpus, split), device).save(path)
    log.info("log-mel frames are written")
    given = [arguments.ssl] if arguments.ssl else []
    for source in given:
        write_atomically(encoder_path(run_dir, "ours"), source.read_bytes())
    waiting = {
        name: pool.submit(
            train_encoder, run_dir, name, arguments.ssl_seconds, device, arguments.threads, arguments.ssl_batch
        )
        for name in ENCODERS
    }
    if not (run_dir / MATERIAL_FILE).exists():
        codec = load_codec(arguments.codec).to(device)
        prepare(corpus, codec, run_dir / MATERIAL_FILE, n_train=arguments.windows, n_asked=arguments.asked)
    notes: dict[str, Any] = {name: future.result() for name, future in waiting.items()}
    known, asked = (MelBank.load(run_dir / f"mel-{split}.safetensors", device) for split in ("train", "validation"))
    for name, encoder in (
        ("untrained", random_encoder(_UNTRAINED_SEED).to(device)),
        ("log-mel", LogMelEncoder(device)),
    ):
        notes[name] = {"technique_by_neighbours": neighbour_accuracy(encoder, known, asked)}
    log.info("encoders: %s", notes)
    return notes


def _tell_how_it_goes() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")


def study(arguments: argparse.Namespace) -> None:
    """Everything, into ablation.json."""
    started_s = time.monotonic()
    device = str(resolve_device(arguments.device))
    context = multiprocessing.get_context("spawn")
    pool: Executor = ProcessPoolExecutor(arguments.workers, context) if arguments.workers > 1 else ThreadPoolExecutor(1)
    with pool:
        encoders = prepare_all(arguments, device, pool)
        plan = RunPlan(
            steps=arguments.steps or _FEWEST_STEPS,
            batch=arguments.batch,
            listened=arguments.listened,
            heard_frames=arguments.heard_frames,
            guide_every=arguments.guide_every,
            evaluations=arguments.evaluations,
            widths=tuple(arguments.widths),
        )
        job = Job(arguments.run, arguments.codec, device, arguments.threads, (), (), plan)
        wanted = [arm for arm in study_arms() if not arguments.arms or arm.name in arguments.arms]
        jobs = split_jobs(job, wanted, range(arguments.seeds), arguments.most_runs)
        if not arguments.steps:
            per_step_s = max(pool.map(time_job, jobs))
            steps = min(max(int(arguments.seconds_per_run / per_step_s), _FEWEST_STEPS), _MOST_STEPS)
            log.info("%.1f ms a step for the slowest stack: %d steps each", 1e3 * per_step_s, steps)
            plan = replace(plan, steps=steps)
            jobs = [replace(job, plan=plan) for job in jobs]
        header = {"plan": asdict(plan), "encoders": encoders, "device": _device_name(device)}
        header |= {"material": load(arguments.run / MATERIAL_FILE, "cpu").notes, "seeds": arguments.seeds}
        futures: list[Future[list[dict[str, Any]]]] = [pool.submit(run_job, job) for job in jobs]
        runs: list[dict[str, Any]] = []
        for future in as_completed(futures):
            runs += future.result()
            stored = header | {"minutes": round((time.monotonic() - started_s) / 60, 2), "runs": runs}
            write_atomically(arguments.run / RESULTS_FILE, (json.dumps(stored) + "\n").encode())
            log.info("%d runs are done after %.0f s", len(runs), time.monotonic() - started_s)


def _device_name(device: str) -> str:
    return torch.cuda.get_device_name() if device.startswith("cuda") else f"{os.cpu_count()} CPU cores"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--codec", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--ssl", type=Path, help="an encoder to guide with; without it one is trained")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--seconds-per-run", type=float, default=60.0, help="training only, measuring not counted")
    parser.add_argument("--ssl-seconds", type=float, default=40.0)
    parser.add_argument("--steps", type=int, default=0, help="instead of --seconds-per-run")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--most-runs", type=int, default=30, help="in one stack")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--listened", type=int, default=8, help="windows of a batch that the encoder hears")
    parser.add_argument("--windows", type=int, default=6_000, help="to train on")
    parser.add_argument("--asked", type=int, default=64, help="validation windows that are sung again")
    parser.add_argument("--heard-frames", type=int, default=WINDOW_FRAMES, help="of each of those windows")
    parser.add_argument("--evaluations", type=int, default=10, help="in a run, log-spaced")
    parser.add_argument("--guide-every", type=int, default=1, help="steps between those that are guided")
    parser.add_argument("--widths", type=int, nargs=2, default=(64, 96), help="of the tiny denoiser")
    parser.add_argument("--ssl-batch", type=int, default=48)
    parser.add_argument("--arms", nargs="*", help="only these")
    return parser


def main() -> None:
    """`python -m synth.train.ablation --corpus DIR --codec FILE --run DIR`."""
    arguments = _parser().parse_args()
    _tell_how_it_goes()
    torch.set_num_threads(arguments.threads)
    study(arguments)


if __name__ == "__main__":
    main()
