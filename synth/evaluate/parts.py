"""The parts of an evaluation: what each runs, how long it may take, and what it says in a sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from synth.engine import DEFAULT_WEIGHTS_DIR
from synth.errors import UserError
from synth.evaluate.codec_fidelity import codec_fidelity
from synth.evaluate.contact_sheets import write_contact_sheet
from synth.evaluate.contradictions import run_contradictions
from synth.evaluate.cost import evaluate_cost
from synth.evaluate.crosstalk import evaluate_crosstalk
from synth.evaluate.fidelity import evaluate_deviation, evaluate_fidelity
from synth.evaluate.frame_lines import evaluate_frame_lines
from synth.evaluate.kernel import evaluate_kernel
from synth.evaluate.lanes import LanesPlan, evaluate_ears, evaluate_lanes
from synth.evaluate.onsets import evaluate_onsets
from synth.evaluate.pitch import evaluate_pitch
from synth.evaluate.proof import evaluate_ablations
from synth.evaluate.recognition import evaluate_recognition
from synth.evaluate.resung import labelled_recordings
from synth.evaluate.silence import evaluate_silence
from synth.evaluate.speed import evaluate_speed
from synth.evaluate.steps import evaluate_steps
from synth.evaluate.sustained import SustainedPlan, run_sustained
from synth.evaluate.timebox import Progress, TimeBox
from synth.evaluate.workbench import Workbench

Run = Callable[[Workbench, TimeBox, Progress], Any]


@dataclass(frozen=True, slots=True)
class Part:
    """title: of its section; about: one sentence for a reader; minutes: what it takes at full size, on one core of some
    160 GFLOP/s with half as much again to spare.

    is_timed     it measures time, and must have the machine to itself
    sings_again  it works on the recordings sung again, which the first such part waits for
    """

    title: str
    about: str
    minutes: float
    run: Run
    is_timed: bool = False
    sings_again: bool = False


_PARTS: dict[str, Part] = {}


def _part(
    title: str, about: str, *, minutes: float, is_timed: bool = False, sings_again: bool = False
) -> Callable[[Run], Run]:
    """Make a function a part, called as the function is; the parts run in the order in which they stand here."""

    def enter(run: Run) -> Run:
        _PARTS[run.__name__.removeprefix("_")] = Part(title, about, minutes, run, is_timed, sings_again)
        return run

    return enter


@_part(
    "Cost",
    "What the voice weighs, how fast it sings, and how much memory a render takes whatever its length.",
    minutes=0.5,
    is_timed=True,
)
def _cost(bench: Workbench, box: TimeBox, progress: Progress) -> Any:
    sizes = bench.sizes
    return evaluate_cost(bench.singer, bench.weights, sizes.cost_s, render=bench.render, render_s=sizes.render_s)


@_part(
    "Speed beside others",
    "Four steps against audio-diffusion-pytorch's README model and a waveform model of our size, same run.",
    minutes=0.8,
    is_timed=True,
)
def _speed(bench: Workbench, box: TimeBox, progress: Progress) -> Any:
    return evaluate_speed(
        bench.singer,
        passage_s=bench.sizes.render_s[-1],
        render=bench.render,
        baseline_dir=bench.baseline,
        weights_dir=bench.weights,
        timed_steps=bench.sizes.peer_steps,
        on_progress=progress,
    )


@_part(
    "Pitch followed",
    "How far the sung pitch lies from the drawn one, by two trackers that are not ours.",
    minutes=1.0,
)
def _pitch(bench: Workbench, box: TimeBox, progress: Progress) -> Any:
    sizes = bench.sizes
    return evaluate_pitch(
        bench.singer,
        seeds=range(sizes.pitch_seeds),
        drifts=sizes.drifts,
        n_simulated=sizes.simulated,
        box=box,
        on_progress=progress,
    )


@_part(
    "Pitch at onsets, of fry and of growl",
    "Where trackers of modal voices give up, a harmonic comb says whether F0, its half or its third is there.",
    minutes=1.2,
)
def _onsets(bench: Workbench, box: TimeBox, progress: Progress) -> Any:
    clips = bench.sizes.clips
    return evaluate_onsets(bench.singer, n_clips=clips, n_simulated=clips, box=box, on_progress=progress)


@_part(
    "Pitch error added by other lanes",
    "The same notes with and without full breath or half roughness: the cents these add.",
    minutes=0.4,
)
def _crosstalk(bench: Workbench, box: TimeBox, progress: Progress) -> Any:
    return evaluate_crosstalk(bench.singer, n_notes=bench.sizes.notes, box=box, on_progress=progress)


def lanes_plan(bench: Workbench) -> LanesPlan:
    """Segments, pairs and technique as the sizes say."""
    sizes = bench.sizes
    return LanesPlan(n_segments=sizes.segments, n_pairs=min(sizes.pairs, sizes.segments), technique=sizes.technique)


@_part(
    "Lanes",
    "Does a lane do what it is asked while all others move, and what else moves with it?",
    minutes=8.0,
)
def _lanes(bench: Workbench, box: TimeBox, progress: Progress) -> Any:
    return evaluate_lanes(bench.singer, lanes_plan(bench), box=box, on_progress=progress)


@_part(
    "The ears themselves",
    "The same test sung by the simulator, whose lanes are known: what is missing here the ears get wrong.",
    minutes=1.8,
)
def _ears(bench: Workbench, box: TimeBox, progress: Progress) -> Any:
    plan = replace(lanes_plan(bench), n_segments=bench.sizes.ear_segments, n_pairs=0, technique="modal")
    return evaluate_ears(plan, box=box, on_progress=progress)


@_part(
    "Spectral deviation",
    "Held-out recordings, reduced to lanes and mean timbre, sung again: how far the spectra lie apart.",
    minutes=0.2,
    sings_again=True,
)
def _deviation(bench: Workbench, box: TimeBox, progress: Progress) -> Any:
    return evaluate_deviation(bench.resung)


@_part(
    "Technique fidelity",
    "Are the voices as hoarse, bright and irregular as recordings of the same technique are?",
    minutes=1.2,
    sings_again=True,
)
def _fidelity(bench: Workbench, box: TimeBox, progress: Progress) -> Any:
    return evaluate_fidelity(bench.resung, box=box, on_progress=progress)


@_part(
    "Kernel distance",
    "How far renderings lie from recordings, in units of how far recordings lie from each other.",
    minutes=0.4,
    sings_again=True,
)
def _kernel(bench: Workbench, box: TimeBox, progress: Progress) -> Any:
    return evaluate_kernel(bench.resung, bench.embeddings, box=box, on_progress=progress)


@_part(
    "Technique recognised",
    "Does a classifier trained on recordings and simulations name the technique that was asked?",
    minutes=1.0,
    sings_again=True,
)
def _recognition(bench: Workbench, box: TimeBox, progress: Progress) -> Any:
    n = bench.sizes.gestures
    return evaluate_recognition(bench.singer, bench.resung, n_gestures=n, box=box, on_progress=progress)


@_part(
    "Quality per number of steps",
    "The same recordings, lanes and seeds at 16, 8, 4, 2 and 1 steps, paired with the teacher.",
    minutes=2.0,
)
def _steps(bench: Workbench, box: TimeBox, progress: Progress) -> Any:
    recordings = labelled_recordings(bench.corpus, bench.sizes.step_recordings)
    n, teacher = bench.sizes.step_segments, bench.teacher
    return evaluate_steps(bench.singer, recordings, n_segments=n, teacher=teacher, box=box, on_progress=progress)


@_part(
    "The codec beside WORLD",
    "Recordings through the codec and through the WORLD vocoder; 0 is two realisations of one noise, 1 WORLD.",
    minutes=2.5,
)
def _codec(bench: Workbench, box: TimeBox, progress: Progress) -> Any:
    folder, n = bench.weights or DEFAULT_WEIGHTS_DIR, bench.sizes.codec_recordings
    return codec_fidelity(folder, bench.corpus, n, box=box, on_progress=progress)


@_part(
    "Latents frozen, shuffled or exchanged",
    "If the sampled latents make the sound, replacing them must take it away from the recording.",
    minutes=0.8,
)
def _proof(bench: Workbench, box: TimeBox, progress: Progress) -> Any:
    recordings = [recording for recording, _ in labelled_recordings(bench.corpus, bench.sizes.proof_recordings)]
    return evaluate_ablations(bench.singer, recordings, progress, box=box)


@_part(
    "Held notes",
    "Notes held for half a minute beside real held notes: do they loop, grow deaf, or stand too still?",
    minutes=3.5,
)
def _sustained(bench: Workbench, box: TimeBox, progress: Progress) -> Any:
    sizes, singer = bench.sizes, bench.singer
    plan = SustainedPlan(
        n_notes=sizes.sustained_notes,
        n_long_notes=2 * sizes.sustained_notes,
        step_lanes=sizes.sustained_lanes,
        drifts=sizes.sustained_drifts,
    )
    return run_sustained(singer.engine, bench.corpus, quality=singer.quality, plan=plan, box=box, on_progress=progress)


@_part(
    "Requests no throat could follow",
    "Does the sound stay decent and still move in the asked direction?",
    minutes=0.8,
)
def _contradictions(bench: Workbench, box: TimeBox, progress: Progress) -> Any:
    n, singer = bench.sizes.contradiction_seeds, bench.singer
    return run_contradictions(singer.engine, quality=singer.quality, n_seeds=n, box=box, on_progress=progress)


@_part(
    "Silence",
    "How far under the voice the sound lies where nobody is to sing.",
    minutes=0.3,
)
def _silence(bench: Workbench, box: TimeBox, progress: Progress) -> Any:
    return evaluate_silence(bench.singer, seeds=range(bench.sizes.silence_seeds), on_progress=progress)


@_part(
    "Lines at the frame rate",
    "Still notes: is there a hum at 100 Hz, or a sideband 100 Hz beside a harmonic?",
    minutes=0.3,
)
def _frame_lines(bench: Workbench, box: TimeBox, progress: Progress) -> Any:
    return evaluate_frame_lines(bench.singer, seeds=range(bench.sizes.frame_lines_seeds), on_progress=progress)


@_part(
    "Contact sheets",
    "Spectrograms with asked and measured lanes, for eyes.",
    minutes=1.2,
)
def _sheets(bench: Workbench, box: TimeBox, progress: Progress) -> Any:
    if bench.output is None:
        raise UserError("No folder was given for the pictures.", remedy="Name one with -o.")
    return write_contact_sheet(
        bench.singer.engine,
        bench.output / "sheets",
        corpus_dir=bench.corpus,
        quality=bench.singer.quality,
        lanes=bench.sizes.sheet_lanes,
        techniques=bench.sizes.sheet_techniques,
        on_progress=progress,
    )


PARTS: Mapping[str, Part] = MappingProxyType(_PARTS)
DEFAULT_PARTS = tuple(PARTS)
# What a voice without latents of its own (the waveform baseline) is held to.
BASELINE_PARTS = ("pitch", "lanes", "deviation", "fidelity", "kernel", "recognition")
