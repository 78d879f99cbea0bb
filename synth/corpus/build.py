"""Builds a corpus: recordings and simulated gestures, measured by the ears and written as clips with a manifest.

Workers measure and write clips; this process plans, collects records and saves the manifest. A build may be stopped
at any time and taken up again: clips that are there and whole are kept.

    python -m synth.corpus.build --voices DIR --out DIR --simulated-minutes 300 --workers 16
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import math
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from synth.corpus.check import check_corpus
from synth.corpus.cutting import ClipPlan, plan_clips
from synth.corpus.manifest import ClipRecord, Corpus, Split, keep_splits, recorded_splits
from synth.corpus.measure import Job, RealJob, RefreshJob, SimulatedJob, run_job
from synth.corpus.pool import finished, worker_pool
from synth.corpus.real import Source, read_catalogue, refuse_doubles
from synth.corpus.recording_check import recording_findings
from synth.corpus.survey import Survey, survey_recording
from synth.corpus.variants import variant_of
from synth.errors import Cancelled, UserError
from synth.spec import TECHNIQUES

logger = logging.getLogger(__name__)

SIMULATED_RANGE_S: Final = (3.0, 8.0)
# After each of the techniques comes one gesture that mixes them as it likes.
TECHNIQUE_ROUND: Final[tuple[str | None, ...]] = (*TECHNIQUES, None)


@dataclass(frozen=True, slots=True)
class BuildProgress:
    """How far a build is. Durations are seconds."""

    done_clips: int
    total_clips: int
    done_audio_s: float
    elapsed_s: float

    @property
    def remaining_s(self) -> float:
        """At the pace so far."""
        return self.elapsed_s * (self.total_clips - self.done_clips) / max(self.done_clips, 1)


def ignore_progress(_progress: BuildProgress) -> None:
    """For callers that do not want to know."""


def never() -> bool:
    """For callers that never stop a build."""
    return False


def build_corpus(
    out_dir: Path,
    voices_dir: Path | None,
    simulated_minutes: float,
    seed: int = 0,
    n_workers: int = 2,
    on_progress: Callable[[BuildProgress], None] = ignore_progress,
    should_stop: Callable[[], bool] = never,
    extra_sources: Sequence[Source] = (),
    n_variants: int = 0,
) -> Corpus:
    """Build, or go on building, the corpus in `out_dir`.

    voices_dir     a folder with a catalogue (see synth.corpus.real), or None
    n_workers      processes; 0 does the work in this one
    extra_sources  further recordings, such as read_folder() lists
    n_variants     augmented versions of every recorded clip of the training split (see synth.corpus.variants)
    Recordings that an earlier build of `out_dir` knew keep their splits.
    Raises Cancelled when stopped (what is done stays) and UserError when recordings cannot be read or clips failed,
    after all others are done.
    """
    if min(simulated_minutes, seed, n_workers, n_variants) < 0 or not math.isfinite(simulated_minutes):
        raise UserError("Minutes, seed, workers and variants cannot be negative or endless.", remedy="Give 0 or more.")
    sources = [*(read_catalogue(voices_dir) if voices_dir is not None else ()), *extra_sources]
    refuse_doubles(sources)
    known = recorded_splits(out_dir)
    with worker_pool(n_workers) as pool:
        surveyed, failures = survey_all(sources, pool, n_workers)
        surveyed, unfit = _sort_out(surveyed)
        failures += unfit
        jobs: list[Job] = real_jobs(out_dir, surveyed, known, n_variants)
        jobs += simulated_jobs(out_dir, simulated_minutes, seed)
        if not jobs and not failures:
            raise UserError(
                "There is nothing to build a corpus from.", remedy="Name a voices folder or simulated minutes."
            )
        return _run(out_dir, jobs, pool, n_workers, on_progress, should_stop, failures)


def survey_all(
    sources: Sequence[Source], pool: Executor | None = None, n_workers: int = 0
) -> tuple[list[tuple[Source, Survey]], list[str]]:
    """Read every recording once. -> (those with sound in them, one line for each of the others)"""
    surveys: dict[int, Survey] = {}
    failures: list[tuple[int, str]] = []
    numbered = list(enumerate(sources))
    for (index, source), outcome in finished(_survey_job, numbered, pool, n_workers):
        try:
            surveys[index] = outcome.result()
        except UserError as trouble:
            logger.error("%s", trouble)
            failures.append((index, trouble.message))
        except Exception as fault:
            logger.error("%s: %r", source.path, fault)
            failures.append((index, f"{source.path}: {fault!r}"))
    surveyed = [(source, surveys[index]) for index, source in numbered if index in surveys]
    return surveyed, [message for _, message in sorted(failures)]


def _sort_out(surveyed: Sequence[tuple[Source, Survey]]) -> tuple[list[tuple[Source, Survey]], list[str]]:
    """-> (what may be learnt from, one line for each of the others)"""
    fit, unfit = [], []
    for source, survey in surveyed:
        errors = [found.message for found in recording_findings(survey) if found.severity == "error"]
        if errors:
            unfit.append(f"{source.path}: {errors[0]}.")
        else:
            fit.append((source, survey))
    return fit, unfit


def _survey_job(numbered: tuple[int, Source]) -> Survey:
    return survey_recording(numbered[1].path)


def real_jobs(
    out_dir: Path,
    surveyed: Sequence[tuple[Source, Survey]],
    known: dict[tuple[str, str], Split],
    n_variants: int = 0,
) -> list[Job]:
    """The recorded clips, each followed by its variants where it is for training."""
    jobs: list[Job] = []
    for plan in plan_clips(surveyed, known):
        jobs += [RealJob(out_dir, version) for version in _versions(plan, n_variants)]
    return jobs


def _versions(plan: ClipPlan, n_variants: int) -> list[ClipPlan]:
    if plan.split != "train":
        return [plan]
    return [plan, *(replace(plan, variant=variant_of(plan.id, number)) for number in range(1, n_variants + 1))]


def refresh_features(
    corpus: Corpus,
    n_workers: int = 2,
    on_progress: Callable[[BuildProgress], None] = ignore_progress,
    should_stop: Callable[[], bool] = never,
) -> Corpus:
    """Measure every clip of `corpus` again; audio, exact lanes and records stay."""
    jobs = [RefreshJob(corpus.folder, record) for record in corpus.records]
    with worker_pool(n_workers) as pool:
        return _run(corpus.folder, jobs, pool, n_workers, on_progress, should_stop, [])


def simulated_jobs(out_dir: Path, minutes: float, seed: int) -> list[Job]:
    """Gestures of 3-8 s, seeds counting up from `seed`, techniques in turn, until they last `minutes`."""
    jobs: list[Job] = []
    left_s = 60.0 * minutes
    while left_s > 0.0:
        clip_seed = seed + len(jobs)
        duration_s = round(float(np.random.default_rng(clip_seed).uniform(*SIMULATED_RANGE_S)), 2)
        jobs.append(SimulatedJob(out_dir, clip_seed, duration_s, TECHNIQUE_ROUND[len(jobs) % len(TECHNIQUE_ROUND)]))
        left_s -= duration_s
    return jobs


def _run(
    out_dir: Path,
    jobs: Sequence[Job],
    pool: Executor | None,
    n_workers: int,
    on_progress: Callable[[BuildProgress], None],
    should_stop: Callable[[], bool],
    unread: Sequence[str],
) -> Corpus:
    records: dict[str, ClipRecord] = {}
    failures: list[str] = []
    started_s = time.monotonic()
    outcomes = finished(run_job, jobs, pool, n_workers)
    stopped, done_s = False, 0.0
    with contextlib.closing(outcomes):
        for job, outcome in outcomes:
            try:
                records[job.clip_id] = outcome.result()
                done_s += records[job.clip_id].duration_s
            except Exception as fault:
                logger.error("clip %s failed: %r", job.clip_id, fault)
                failures.append(f"{job.clip_id} ({fault})")
            on_progress(BuildProgress(len(records) + len(failures), len(jobs), done_s, time.monotonic() - started_s))
            stopped = should_stop()
            if stopped:
                break
    corpus = Corpus(out_dir, (records[job.clip_id] for job in jobs if job.clip_id in records))
    if stopped:
        raise Cancelled
    if records:  # else everything failed, and an earlier manifest is worth more
        real = [record for record in corpus.records if record.kind == "real"]
        here: dict[tuple[str, str], Split] = {
            (record.collection, name): record.split for record in real for name in record.sources
        }
        if here:
            keep_splits(out_dir, recorded_splits(out_dir) | here)
        corpus.save()
    remedy = "The others are built. Mend the cause and build again."
    if failures:
        raise UserError(f"{len(failures)} of {len(jobs)} clips failed; the first is {failures[0]}.", remedy=remedy)
    if unread:
        what = "recording" if len(unread) == 1 else "recordings"
        raise UserError(f"{len(unread)} {what} left out; the first: {unread[0]}", remedy=remedy)
    return corpus


class _ProgressLines:
    """A plain line every few seconds."""

    def __init__(self, every_s: float = 10.0) -> None:
        self._every_s = every_s
        self._next_s = 0.0

    def __call__(self, progress: BuildProgress) -> None:
        if progress.elapsed_s < self._next_s and progress.done_clips < progress.total_clips:
            return
        self._next_s = progress.elapsed_s + self._every_s
        sys.stdout.write(
            f"{progress.done_clips}/{progress.total_clips} clips, {progress.done_audio_s / 60.0:.1f} min of audio, "
            f"{progress.elapsed_s:.0f} s, about {progress.remaining_s:.0f} s left\n"
        )
        sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Build or refresh from the command line. -> exit status"""
    parser = argparse.ArgumentParser(prog="python -m synth.corpus.build", description="Build a training corpus.")
    parser.add_argument("--out", type=Path, required=True, help="corpus folder")
    parser.add_argument("--voices", type=Path, default=None, help="folder of recordings with its catalogue")
    parser.add_argument("--simulated-minutes", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0, help="seed of the first simulated clip")
    parser.add_argument("--workers", type=int, default=2, help="processes; 0 works in this one")
    parser.add_argument("--variants", type=int, default=0, help="augmented versions of each training recording")
    parser.add_argument("--refresh-features", action="store_true", help="measure the stored clips again, nothing else")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    lines = _ProgressLines()
    try:
        if options.refresh_features:
            corpus = refresh_features(Corpus.open(options.out), options.workers, lines)
        else:
            corpus = build_corpus(
                options.out, options.voices, options.simulated_minutes, options.seed, options.workers, lines,
                n_variants=options.variants,
            )  # fmt: skip
    except UserError as trouble:
        sys.stderr.write(f"{trouble}\n")
        return 1
    for problem in check_corpus(corpus):
        sys.stdout.write(f"{problem}\n")
    sys.stdout.write(f"{len(corpus.records)} clips in {options.out}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
