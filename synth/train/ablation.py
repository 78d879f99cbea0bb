"""The study of stage-adaptive training at a small scale: paired tiny runs of every mechanism, and what comes of them.

Read from the top: a part of the corpus is encoded once; encoders are trained (one that guides, another seed of it, and
a judge of another kind that guides nothing); every arm is trained with every seed for the same number of steps; what is
finished goes into ablation.json, and the same command goes on from there; synth.evaluate.stage_report makes tables and
plots of it.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from synth.atomic import write_atomically
from synth.codec.weights import content_hash, read_config
from synth.corpus.dataset import ClipStore
from synth.corpus.manifest import MANIFEST_NAME, Corpus
from synth.diffusion.unet import Injection
from synth.engine import load_codec
from synth.errors import UserError
from synth.spec.audio import WINDOW_FRAMES
from synth.ssl.encoder import KIND, AudioEncoder, LogMelEncoder, SslConfig, SslEncoder, random_encoder
from synth.train.ablation_data import chosen_part, load, prepare, study_key
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
class Place:
    """Where a study's material lies. Every name holds a key of what the file was made from.

    frames     folder of a part of a corpus: log-mel frames
    encoders   folder of what was trained on them
    material   latents of a corpus by a codec
    """

    frames: Path
    encoders: Path
    material: Path
    codec: Path

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> Place:
        """UserError without a corpus or a codec."""
        manifest: Path = arguments.corpus / MANIFEST_NAME
        try:
            corpus, codec = content_hash(manifest), content_hash(arguments.codec)
        except OSError as fault:
            raise UserError(f"{fault.filename} cannot be read.", remedy="Name a corpus and a codec.") from fault
        frames = arguments.run / f"corpus-{study_key(corpus, arguments.material_minutes)}"
        given = content_hash(arguments.ssl) if arguments.ssl else ""
        trained = study_key(asdict(_ssl_config(arguments)), arguments.ssl_seconds, arguments.ssl_batch, given)
        encoded = study_key(codec, arguments.windows, arguments.asked, arguments.frames)
        return cls(frames, frames / f"ssl-{trained}", frames / f"material-{encoded}.safetensors", arguments.codec)

    @property
    def key(self) -> str:
        """Of all of it."""
        return study_key(self.frames.name, self.encoders.name, self.material.name)

    def encoder(self, name: str) -> Path:
        """The file of an encoder's weights."""
        return self.encoders / name.replace(" ", "-") / WEIGHTS_FILE

    def bank(self, split: str, device: str) -> MelBank:
        """Log-mel frames of a split."""
        return MelBank.load(self.frames / f"mel-{split}.safetensors", device)


@dataclass(frozen=True, slots=True)
class Job:
    """One stack of runs for one process. Everything else is read from its place."""

    place: Place
    device: str
    threads: int
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    plan: RunPlan

    def names(self) -> set[tuple[str, int]]:
        """(arm, seed) of its runs."""
        return {(arm.name, seed) for arm in self.arms for seed in self.seeds}


def _ssl_config(arguments: argparse.Namespace) -> SslConfig:
    return SslConfig(dim=arguments.ssl_dim, layers=arguments.ssl_layers)


def build(job: Job) -> StackRun:
    """Read the material and the encoders, and set the runs up."""
    torch.set_num_threads(job.threads)
    torch.set_float32_matmul_precision("high")
    material = load(job.place.material, job.device, job.plan.judged)
    sound = LatentSound(load_codec(job.place.codec), material.mean, material.std).to(job.device)
    trained = {name: SslEncoder.load(job.place.encoder(name)).to(job.device) for name in ENCODERS}
    judge = Judge(material, sound, trained.pop("judge"))
    encoders: dict[str, AudioEncoder] = dict(trained)
    encoders["untrained"] = random_encoder(_UNTRAINED_SEED, trained["ours"].config).to(job.device)
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
    """One job a denoiser shape, cut by seeds so that none has more than about `most_runs` runs; whole seeds come one
    after another, so that what is finished early is paired."""
    jobs = []
    shapes: list[Injection] = ["both", "film", "attention"]
    for shape in shapes:
        mine = tuple(arm for arm in arms if arm.injection == shape)
        if not mine:
            continue
        n_seeds = max(1, most_runs // len(mine))
        for first in range(0, len(seeds), n_seeds):
            jobs.append(replace(job, arms=mine, seeds=tuple(seeds[first : first + n_seeds])))
    return sorted(jobs, key=lambda made: made.seeds[0])


def train_encoder(
    place: Place, name: str, config: SslConfig, seconds: float, device: str, threads: int, batch: int
) -> dict[str, Any]:
    """Train one of the study's encoders, or keep the one that is there -> what is known of it."""
    target, seed = ENCODERS[name]
    path = place.encoder(name)
    torch.set_num_threads(threads)
    if not path.exists():
        known = place.bank("train", device)
        loop = LoopConfig(minutes=seconds / 60, learning_rate=1e-3, ema_decay=0.995, seed=seed)
        loop = loop if device.startswith("cuda") else replace(loop, clock="processor")
        config = replace(config, seed=seed, target=target)
        train_on_bank(known, path.parent, loop, config, batch_size=batch)
    stored = read_config(path, KIND)
    notes = {"target": target, "seed": seed} | {key: stored[key] for key in ("steps", "loss") if key in stored}
    return notes | _known_of(place, name, SslEncoder.load(path).to(device), device)


def prepare_all(arguments: argparse.Namespace, place: Place, device: str, pool: Executor) -> dict[str, Any]:
    """Material and encoders in their place; what is there already is kept."""
    place.frames.mkdir(parents=True, exist_ok=True)
    corpus = chosen_part(Corpus.open(arguments.corpus), arguments.material_minutes)
    for split in ("train", "validation"):
        path = place.frames / f"mel-{split}.safetensors"
        if not path.exists():
            MelBank.of_store(ClipStore(corpus, split), device).save(path)
    log.info("log-mel frames are written")
    config = _ssl_config(arguments)
    if arguments.ssl and not place.encoder("ours").exists():
        write_atomically(place.encoder("ours"), arguments.ssl.read_bytes())
    if not place.material.exists():
        codec = load_codec(arguments.codec).to(device)
        counts = {"n_train": arguments.windows, "n_asked": arguments.asked, "n_frames": arguments.frames}
        prepare(corpus, codec, place.material, **counts)
    settings = (arguments.ssl_seconds, device, arguments.threads, arguments.ssl_batch)
    waiting = {name: pool.submit(train_encoder, place, name, config, *settings) for name in ENCODERS}
    notes: dict[str, Any] = {name: future.result() for name, future in waiting.items()}
    shape = SslEncoder.load(place.encoder("ours")).config
    untaught = {"untrained": random_encoder(_UNTRAINED_SEED, shape).to(device), "log-mel": LogMelEncoder(device)}
    notes |= {name: _known_of(place, name, encoder, device) for name, encoder in untaught.items()}
    log.info("encoders: %s", notes)
    return notes


def _known_of(place: Place, name: str, encoder: AudioEncoder, device: str) -> dict[str, Any]:
    """How well an encoder knows techniques, as it was measured once."""
    path = place.encoder(name).with_name("known.json")
    if not path.exists():
        found = neighbour_accuracy(encoder, place.bank("train", device), place.bank("validation", device))
        write_atomically(path, (json.dumps({"technique_by_neighbours": found}) + "\n").encode())
    known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return known


def _tell_how_it_goes() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")


def _stored(path: Path, key: str, plan: RunPlan) -> dict[str, Any]:
    """What an interrupted study has finished; empty where nothing is. UserError when it is another study's."""
    if not path.exists():
        return {}
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    made = found.get("plan", {})
    wanted = json.loads(json.dumps(asdict(replace(plan, steps=plan.steps or made.get("steps", 0)))))
    if found.get("key") != key or made != wanted:
        raise UserError(f"{path.parent} holds a study of other sizes.", remedy="Give another --run folder.")
    return found


def study(arguments: argparse.Namespace) -> None:
    """Everything, into ablation.json; runs that are there already are kept."""
    device = str(resolve_device(arguments.device))
    place = Place.of(arguments)
    plan = RunPlan(
        steps=arguments.steps, batch=arguments.batch, listened=arguments.listened,
        heard_frames=arguments.heard_frames, guide_every=arguments.guide_every, evaluations=arguments.evaluations,
        widths=tuple(arguments.widths),
        judged=arguments.judged or arguments.asked,
    )  # fmt: skip
    results = arguments.run / RESULTS_FILE
    before = _stored(results, place.key, plan)
    runs: list[dict[str, Any]] = before.get("runs", [])
    context = multiprocessing.get_context("spawn")
    pool: Executor = ProcessPoolExecutor(arguments.workers, context) if arguments.workers > 1 else ThreadPoolExecutor(1)
    with pool:
        encoders = prepare_all(arguments, place, device, pool)
        wanted = [arm for arm in study_arms() if not arguments.arms or arm.name in arguments.arms]
        plan = replace(plan, steps=plan.steps or before.get("plan", {}).get("steps", _FEWEST_STEPS))
        job = Job(place, device, arguments.threads, (), (), plan)
        done = {(run["arm"], run["seed"]) for run in runs}
        jobs = split_jobs(job, wanted, range(arguments.seeds), arguments.most_runs)
        jobs = [one for one in jobs if not one.names() <= done]
        if not arguments.steps and not before:
            plan = replace(plan, steps=_steps_for(arguments.seconds_per_run, jobs, pool))
            jobs = [replace(one, plan=plan) for one in jobs]
        header = {"key": place.key, "plan": asdict(plan), "encoders": encoders, "device": _device_name(device)}
        header |= {"material": load(place.material, "cpu", plan.judged).notes, "seeds": arguments.seeds}
        futures: list[Future[list[dict[str, Any]]]] = [pool.submit(run_job, one) for one in jobs]
        for future in as_completed(futures):
            fresh = future.result()
            names = {(run["arm"], run["seed"]) for run in fresh}
            runs = [run for run in runs if (run["arm"], run["seed"]) not in names] + fresh
            write_atomically(results, (json.dumps(header | {"runs": runs}) + "\n").encode())
            log.info("%d runs are done", len(runs))


def _steps_for(seconds: float, jobs: Sequence[Job], pool: Executor) -> int:
    """How many steps the slowest stack takes in `seconds`."""
    per_step_s = max(pool.map(time_job, jobs))
    steps = min(max(int(seconds / per_step_s), _FEWEST_STEPS), _MOST_STEPS)
    log.info("%.1f ms a step for the slowest stack: %d steps each", 1e3 * per_step_s, steps)
    return steps


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
    parser.add_argument("--judged", type=int, default=0, help="only so many of them; they need not be encoded again")
    parser.add_argument("--frames", type=int, default=WINDOW_FRAMES, help="of every window; a multiple of four")
    parser.add_argument("--heard-frames", type=int, default=WINDOW_FRAMES, help="of each that the encoder hears")
    parser.add_argument("--evaluations", type=int, default=10, help="in a run, log-spaced")
    parser.add_argument("--guide-every", type=int, default=1, help="steps between those that are guided")
    parser.add_argument("--widths", type=int, nargs=2, default=(64, 96), help="of the tiny denoiser")
    parser.add_argument("--ssl-batch", type=int, default=48)
    parser.add_argument("--ssl-dim", type=int, default=SslConfig().dim, help="width of the study's encoders")
    parser.add_argument("--ssl-layers", type=int, default=SslConfig().layers)
    parser.add_argument("--material-minutes", type=float, default=60.0, help="of the training split, half recorded")
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
