"""Excitations of whole clips, made once before training, on as many processes as there are cores. Torch-free."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synth.codec.excitation import ExcitationFrames, free_phase, voiced_source
from synth.spec.audio import HOP_SAMPLES

GATE_SCALE = 127.0
GAINS_PER_FRAME = 30
_CHUNK_CLIPS = 16


@dataclass(frozen=True, slots=True)
class ClipExcitation:
    """pulses float16 [n_realisations, n_frames, HOP_SAMPLES], gain float16 [n_realisations, n_frames, GAINS_PER_FRAME],
    gate int8 [n_frames, HOP_SAMPLES].

    The noise itself is not here: it is drawn when it is used. Its false folds are `gain`, which `pulses` carry already.
    """

    pulses: NDArray[np.float16]
    gain: NDArray[np.float16]
    gate: NDArray[np.int8]


def clip_excitation(frames: ExcitationFrames, seeds: tuple[int, ...]) -> ClipExcitation:
    """One realisation of jitter and false folds for every seed; the phase starts where the first seed says."""
    n_frames = len(frames.f0_hz)
    phase = free_phase(frames.f0_hz, float(np.random.default_rng(seeds[0]).random()))
    sources = [voiced_source(phase, 0, frames, 0, seed=seed) for seed in seeds]
    blocks = (len(seeds), n_frames, GAINS_PER_FRAME, HOP_SAMPLES // GAINS_PER_FRAME)
    return ClipExcitation(
        np.stack([source.pulses for source in sources]).astype(np.float16).reshape(len(seeds), n_frames, HOP_SAMPLES),
        np.stack([source.gain for source in sources]).reshape(blocks).mean(axis=-1).astype(np.float16),
        np.rint(GATE_SCALE * sources[0].gate).astype(np.int8).reshape(n_frames, HOP_SAMPLES),
    )


def all_excitations(
    jobs: Sequence[tuple[ExcitationFrames, tuple[int, ...]]], n_workers: int
) -> Iterator[ClipExcitation]:
    """`clip_excitation` of every job, in order; in this process when `n_workers` is 0."""
    if n_workers == 0:
        yield from (clip_excitation(frames, seeds) for frames, seeds in jobs)
        return
    # A forked child of a process with a GPU and threads is not safe to use.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(n_workers, mp_context=context) as pool:
        yield from pool.map(clip_excitation, *zip(*jobs, strict=True), chunksize=_CHUNK_CLIPS)
