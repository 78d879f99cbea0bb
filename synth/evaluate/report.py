"""The whole evaluation: parts chosen, sized and boxed in time; one that fails says why, and the others go on."""

from __future__ import annotations

import logging
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from synth.engine import DEFAULT_WEIGHTS_DIR
from synth.errors import UserError
from synth.evaluate.codec_fidelity import codec_fidelity
from synth.evaluate.contact_sheets import SHEET_LANES, write_contact_sheet
from synth.evaluate.contradictions import run_contradictions
from synth.evaluate.cost import evaluate_cost
from synth.evaluate.crosstalk import evaluate_crosstalk
from synth.evaluate.embeddings import Embedding, Encoded, LogMelStatistics
from synth.evaluate.fidelity import evaluate_deviation, evaluate_fidelity
from synth.evaluate.kernel import evaluate_kernel
from synth.evaluate.lanes import LanesPlan, evaluate_ears, evaluate_lanes
from synth.evaluate.late_obedience import STEP_LANES
from synth.evaluate.onsets import evaluate_onsets
from synth.evaluate.pitch import PRESET_DRIFT, evaluate_pitch
from synth.evaluate.proof import evaluate_ablations
from synth.evaluate.recognition import evaluate_recognition
from synth.evaluate.resung import Resung, labelled_recordings, sing_again
from synth.evaluate.silence import evaluate_silence
from synth.evaluate.singing import Singer
from synth.evaluate.steps import evaluate_steps
from synth.evaluate.sustained import SustainedPlan, run_sustained
from synth.evaluate.timebox import Progress, TimeBox
from synth.spec.lanes import TECHNIQUES

_log = logging.getLogger(__name__)

_SING_AGAIN_MINUTES = 4.0
DONE, CUT, NOT_RUN = "done", "cut short by its time box", "not run"


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything. recordings: held-out ones, None for all; minutes: what a part may take, times its own."""

    cost_s: float = 24.0
    segments: int = 200
    pairs: int = 40
    ear_segments: int = 60
    technique: str = "modal"
    recordings: int | None = None
    pitch_seeds: int = 2
    drifts: tuple[float, ...] = (0.0, PRESET_DRIFT)
    simulated: int = 4
    notes: int = 40
    clips: int = 30
    gestures: int = 12
    step_recordings: int = 14
    step_segments: int = 10
    silence_seeds: int = 1
    proof_recordings: int = 14
    codec_recordings: int | None = 24
    sustained_notes: int = 6
    sustained_lanes: tuple[str, ...] = STEP_LANES
    sustained_drifts: tuple[float, ...] = (0.0, 0.5, 1.0)
    contradiction_seeds: int = 5
    sheet_lanes: tuple[str, ...] = SHEET_LANES
    sheet_techniques: tuple[str, ...] = TECHNIQUES
    minutes: float = 1.0


FULL = Sizes()
QUICK = Sizes(
    cost_s=6.0, segments=12, pairs=5, ear_segments=5, recordings=16, pitch_seeds=1, drifts=(0.0,), simulated=1,
    notes=5, clips=3, gestures=1, step_recordings=3, step_segments=1, proof_recordings=4, codec_recordings=4,
    sustained_notes=1, sustained_lanes=("breathiness",), sustained_drifts=(0.5,), contradiction_seeds=2,
    sheet_lanes=("roughness",), sheet_techniques=("growl",), minutes=0.1,
)  # fmt: skip


class Workbench:
    """What the parts work on. Recordings are sung again once, by whichever part needs them first.

    weights   the folder the engine was loaded from, None for the shipped one
    encoders  paths of further encoders for the kernel distance
    output    where pictures are written
    teacher   what the numbers of steps are compared with, None for the same weights at most steps
    """

    def __init__(
        self,
        singer: Singer,
        *,
        corpus: Path | None = None,
        weights: Path | None = None,
        encoders: Sequence[Path] = (),
        teacher: Singer | None = None,
        output: Path | None = None,
        sizes: Sizes = FULL,
    ) -> None:
        self.singer = singer
        self.weights = weights
        self.encoders = encoders
        self.teacher = teacher
        self.output = output
        self.sizes = sizes
        self._corpus = corpus

    @property
    def corpus(self) -> Path:
        """Raises UserError without one."""
        if self._corpus is None:
            raise UserError("No corpus was given.", remedy="Name one with --corpus, made by `stridor corpus build`.")
        return self._corpus

    @cached_property
    def resung(self) -> list[Resung]:
        """Held-out recordings and the model's renderings of their lanes."""
        box = TimeBox(60.0 * _SING_AGAIN_MINUTES * self.sizes.minutes)
        return sing_again(self.singer, labelled_recordings(self.corpus, self.sizes.recordings), box=box)

    @cached_property
    def embeddings(self) -> list[Embedding]:
        """Ours, then the encoders that were named."""
        return [LogMelStatistics(), *(Encoded(path) for path in self.encoders)]


Run = Callable[[Workbench, TimeBox, Progress], Any]


@dataclass(frozen=True, slots=True)
class Part:
    """minutes: its time box at full size."""

    title: str
    minutes: float
    run: Run


def _lanes_plan(bench: Workbench) -> LanesPlan:
    sizes = bench.sizes
    return LanesPlan(n_segments=sizes.segments, n_pairs=min(sizes.pairs, sizes.segments), technique=sizes.technique)


def _sustained(bench: Workbench, _: TimeBox, progress: Progress) -> Any:
    sizes = bench.sizes
    plan = SustainedPlan(n_notes=sizes.sustained_notes, step_lanes=sizes.sustained_lanes, drifts=sizes.sustained_drifts)
    return run_sustained(
        bench.singer.engine, bench.corpus, quality=bench.singer.quality, plan=plan, on_progress=progress
    )


def _codec(bench: Workbench, _: TimeBox, progress: Progress) -> Any:
    folder = bench.weights or DEFAULT_WEIGHTS_DIR
    return codec_fidelity(folder, bench.corpus, bench.sizes.codec_recordings, on_progress=progress)


def _sheets(bench: Workbench, _: TimeBox, progress: Progress) -> Any:
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


def _steps(bench: Workbench, box: TimeBox, progress: Progress) -> Any:
    recordings = labelled_recordings(bench.corpus, bench.sizes.step_recordings)
    return evaluate_steps(
        bench.singer,
        recordings,
        n_segments=bench.sizes.step_segments,
        teacher=bench.teacher,
        box=box,
        on_progress=progress,
    )


def _recognition(bench: Workbench, box: TimeBox, progress: Progress) -> Any:
    return evaluate_recognition(
        bench.singer, bench.resung, n_gestures=bench.sizes.gestures, box=box, on_progress=progress
    )


def _proof(bench: Workbench, _: TimeBox, progress: Progress) -> Any:
    recordings = [recording for recording, _ in labelled_recordings(bench.corpus, bench.sizes.proof_recordings)]
    return evaluate_ablations(bench.singer, recordings, progress)


PARTS: Mapping[str, Part] = MappingProxyType(
    {
        "cost": Part("Cost", 1.0, lambda bench, *_: evaluate_cost(bench.singer, bench.weights, bench.sizes.cost_s)),
        "pitch": Part(
            "Pitch followed",
            2.0,
            lambda bench, box, progress: evaluate_pitch(
                bench.singer,
                seeds=range(bench.sizes.pitch_seeds),
                drifts=bench.sizes.drifts,
                n_simulated=bench.sizes.simulated,
                box=box,
                on_progress=progress,
            ),
        ),
        "onsets": Part(
            "Pitch at onsets, of fry and of growl",
            1.5,
            lambda bench, box, progress: evaluate_onsets(
                bench.singer, n_clips=bench.sizes.clips, n_simulated=bench.sizes.clips, box=box, on_progress=progress
            ),
        ),
        "crosstalk": Part(
            "Pitch error added by other lanes",
            1.0,
            lambda bench, box, progress: evaluate_crosstalk(
                bench.singer, n_notes=bench.sizes.notes, box=box, on_progress=progress
            ),
        ),
        "silence": Part(
            "Silence",
            0.5,
            lambda bench, _, progress: evaluate_silence(
                bench.singer, seeds=range(bench.sizes.silence_seeds), on_progress=progress
            ),
        ),
        "deviation": Part("Spectral deviation", 2.0, lambda bench, _, __: evaluate_deviation(bench.resung)),
        "fidelity": Part(
            "Technique fidelity",
            2.0,
            lambda bench, box, progress: evaluate_fidelity(bench.resung, box=box, on_progress=progress),
        ),
        "kernel": Part(
            "Kernel distance",
            1.0,
            lambda bench, box, progress: evaluate_kernel(bench.resung, bench.embeddings, box=box, on_progress=progress),
        ),
        "recognition": Part("Technique recognised", 1.5, _recognition),
        "steps": Part("Quality per number of steps", 2.0, _steps),
        "lanes": Part(
            "Lanes",
            8.0,
            lambda bench, box, progress: evaluate_lanes(
                bench.singer, _lanes_plan(bench), box=box, on_progress=progress
            ),
        ),
        "ears": Part(
            "The ears themselves",
            2.0,
            lambda bench, box, progress: evaluate_ears(
                replace(_lanes_plan(bench), n_segments=bench.sizes.ear_segments, n_pairs=0, technique="modal"),
                box=box,
                on_progress=progress,
            ),
        ),
        "codec": Part("The codec beside WORLD", 3.0, _codec),
        "proof": Part("Latents frozen or exchanged", 2.0, _proof),
        "sustained": Part("Held notes", 3.0, _sustained),
        "contradictions": Part(
            "Requests no throat could follow",
            2.0,
            lambda bench, _, progress: run_contradictions(
                bench.singer.engine,
                quality=bench.singer.quality,
                n_seeds=bench.sizes.contradiction_seeds,
                on_progress=progress,
            ),
        ),
        "sheets": Part("Contact sheets", 1.0, _sheets),
    }
)
DEFAULT_PARTS = tuple(PARTS)
# What a voice without latents of its own (the waveform baseline) can be held to.
BASELINE_PARTS = (
    "pitch", "onsets", "crosstalk", "silence", "deviation", "fidelity", "kernel", "recognition", "lanes",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PartResult:
    """outcome: DONE, CUT or NOT_RUN, with the reason; report: what the part returned, None when not run."""

    name: str
    title: str
    outcome: str
    reason: str
    seconds: float
    report: Any


@dataclass(frozen=True, slots=True)
class Report:
    """Everything, and where it comes from."""

    command: str
    date: str
    machine: str
    weights_hash: str
    quality: str
    device: str
    sizes: Sizes
    parts: tuple[PartResult, ...] = field(default_factory=tuple)

    def part(self, name: str) -> Any:
        """What a part returned, None where it has not run."""
        return next((result.report for result in self.parts if result.name == name), None)


Notice = Callable[[str, int, int, float], None]


def run_report(
    bench: Workbench,
    names: Sequence[str],
    *,
    command: str,
    on_part: Callable[[Report], None] | None = None,
    on_progress: Notice | None = None,
) -> Report:
    """Run the parts in turn.

    on_part      told the report so far after every part, so that an interrupted run leaves what it has
    on_progress  (title of the part, its number, how many parts, share of it that is done 0..1)
    Raises UserError for an unknown name.
    """
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        raise UserError(f"There is no part called {', '.join(unknown)}.", remedy=f"Use {', '.join(PARTS)}.")
    engine = bench.singer.engine
    report = Report(
        command=command,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=machine_words(),
        weights_hash=engine.weights_hash,
        quality=bench.singer.quality,
        device=engine.device_name,
        sizes=bench.sizes,
    )
    for number, name in enumerate(names):

        def told(done: float, total: float, number: int = number, name: str = name) -> None:
            if on_progress is not None:
                on_progress(PARTS[name].title, number, len(names), done / max(total, 1e-9))

        told(0.0, 1.0)
        report = replace(report, parts=(*report.parts, _run_part(bench, name, told)))
        if on_part is not None:
            on_part(report)
    return report


def _run_part(bench: Workbench, name: str, on_progress: Progress) -> PartResult:
    part = PARTS[name]
    box = TimeBox(60.0 * part.minutes * bench.sizes.minutes)
    started_s = time.monotonic()
    report: Any = None
    try:
        report = part.run(bench, box, on_progress)
        outcome, reason = (CUT, f"after {box.limit_s:.0f} s") if box.was_cut else (DONE, "")
    except UserError as fault:
        outcome, reason = NOT_RUN, str(fault)
    except Exception as fault:  # a part's own edge: an hour of other measures must not be lost to it
        _log.exception("part %s failed", name)
        outcome, reason = NOT_RUN, f"a mistake of ours: {type(fault).__name__}: {fault}"
    return PartResult(name, part.title, outcome, reason, time.monotonic() - started_s, report)


def machine_words() -> str:
    """Processor, cores, torch: what speed and last digits depend on."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return (
        f"{platform.system()} {platform.machine()}, {torch.get_num_threads()} threads, {device}, "
        f"Python {platform.python_version()}, torch {torch.__version__}"
    )
