"""What an adapter is worth: held-out recordings sung again, with it and without, by the same seeds.

Every recording's lanes and timbre are extracted and sung with the technique asked for. Control error is how far the
lanes measured in the result lie from those of the recording; the distances are those of synth.evaluate.distances.
Kernel distances say how much of the gap between the base and real-to-real is closed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile

from synth.adapt.figures import as_dict
from synth.adapt.material import sings
from synth.adapt.nearness import Halves, Kernel, excerpts_of
from synth.adapters.layout import REGIONS
from synth.corpus.manifest import Corpus, Split, unit_hash
from synth.diffusion.sampler import SamplingPlan
from synth.engine import PLANS, Engine, Quality
from synth.errors import UserError
from synth.evaluate.controls import MEASURED_LANES
from synth.evaluate.distances import Sound, voice_distances
from synth.evaluate.recordings import Recording, extracted, load_recording
from synth.evaluate.resung import Resung, with_technique
from synth.evaluate.singing import Gesture, Singer
from synth.evaluate.statistics import Interval, mean_interval
from synth.spec.audio import SAMPLE_RATE_HZ
from synth.spec.controls import ControlFrames, Float32Array
from synth.spec.lanes import lane

DISTANCES: Final = ("log_mel_db", "mr_stft", "roughness", "hnr_db", "centroid_hz", "modulation_db")
_SHORTEST_S: Final = 0.4
_SEED: Final = 0

Strengths = Mapping[str, Mapping[str, float]]  # adapter's id -> region -> strength


@dataclass(frozen=True, slots=True)
class Judged:
    """One way of singing a set of recordings; every list has one number a recording.

    control     mean over lanes of the error as a share of the lane's range
    lanes       lane id -> errors, in the lane's unit
    """

    control: list[float]
    lanes: dict[str, list[float]]
    distances: dict[str, list[float]]
    sung: list[Resung]

    def means(self) -> dict[str, float]:
        """For the report."""
        named = {
            "control_error": self.control,
            **{f"lane.{name}": v for name, v in self.lanes.items()},
            **self.distances,
        }
        return {name: float(np.nanmean(v)) for name, v in named.items() if np.isfinite(v).any()}


def judging_plan(config: Mapping[str, Any]) -> SamplingPlan:
    """Four jumps of a distilled voice, the final quality of another."""
    if config.get("distilled"):
        return PLANS[Quality.DRAFT]
    return SamplingPlan(n_steps=12, solver="dpm2m")


def recordings_of(corpus: Corpus, split: Split, n: int, *, least_s: float = _SHORTEST_S) -> list[Recording]:
    """At most `n` recordings of a split, by the order of their hash; those too short to judge are left out."""
    records = sorted(corpus.split(split), key=lambda record: unit_hash(f"judge {record.id}"))
    long_enough = [record for record in records if record.duration_s >= least_s]
    return [load_recording(corpus, record) for record in long_enough[:n]]


def with_strengths(gesture: Gesture, strengths: Strengths) -> Gesture:
    """The same gesture sung by adapters."""
    n_frames = gesture.controls.n_frames
    lanes = {
        f"adapter.{name}.{region}": np.full(n_frames, strength, dtype=np.float32)
        for name, regions in strengths.items()
        for region, strength in regions.items()
    }
    controls = gesture.controls
    return Gesture(ControlFrames({**controls.values, **lanes}, controls.timbre, controls.pitch_drift), gesture.timbre)


def everywhere(adapter_id: str, strength: float = 1.0) -> Strengths:
    """One adapter in every region."""
    return {adapter_id: dict.fromkeys(REGIONS, strength)}


def judge(
    engine: Engine,
    reals: Sequence[tuple[Recording, Sound]],
    technique: str,
    strengths: Strengths,
    plan: SamplingPlan,
    *,
    seed: int = _SEED,
    on_done: Callable[[], None] = lambda: None,
) -> Judged:
    """Sing `reals` again by `strengths`, and measure."""
    singer = Singer(engine, "draft", plan)
    judged = Judged([], {name: [] for name in MEASURED_LANES}, {name: [] for name in DISTANCES}, [])
    for recording, real in reals:
        gesture = with_strengths(with_technique(extracted(real.analysis), technique), strengths)
        made = Sound.of(singer.sing(gesture, seed))
        errors = lane_errors(made, real)
        judged.control.append(control_error(made, real))
        for name, found in judged.lanes.items():
            found.append(errors[name])
        found = voice_distances(made, real)
        for name, kept in judged.distances.items():
            kept.append(found[name])
        judged.sung.append(Resung(recording, technique, technique, real, made))
        on_done()
    return judged


def heard(recordings: Sequence[Recording]) -> list[tuple[Recording, Sound]]:
    """Recordings with what is measured of them; without those in which nobody sings."""
    both = [(recording, Sound.of(recording.audio)) for recording in recordings]
    return [(recording, sound) for recording, sound in both if sings(sound.analysis)]


def lane_errors(made: Sound, real: Sound) -> dict[str, float]:
    """Mean |difference| of every measured lane over frames in which the recording sings; NaN where none is known."""
    n = min(made.analysis.n_frames, real.analysis.n_frames)
    sung = real.analysis.lanes["presence"][:n] > 0.5
    errors = {}
    for name in MEASURED_LANES:
        difference = np.abs(made.analysis.lanes[name][:n] - real.analysis.lanes[name][:n])[sung]
        known = difference[np.isfinite(difference)]
        errors[name] = float(known.mean()) if len(known) else math.nan
    return errors


def control_error(made: Sound, real: Sound) -> float:
    """Mean over lanes of `lane_errors` as shares of the lanes' ranges; NaN where no lane is known."""
    shares = [error / _span(name) for name, error in lane_errors(made, real).items()]
    known = [share for share in shares if math.isfinite(share)]
    return float(np.mean(known)) if known else math.nan


def _span(name: str) -> float:
    spec = lane(name)
    return spec.maximum - spec.minimum


def changes(before: Judged, after: Judged) -> dict[str, dict[str, float]]:
    """The paired change of each figure with its interval; less is better for all."""
    found = {"control_error": _change(before.control, after.control)}
    found |= {name: _change(before.distances[name], after.distances[name]) for name in DISTANCES}
    found |= {f"lane.{name}": _change(before.lanes[name], after.lanes[name]) for name in MEASURED_LANES}
    return {name: as_dict(interval) for name, interval in found.items()}


def compared(before: Judged, after: Judged) -> dict[str, Any]:
    """Means before and after, their changes, and the share of the gap that is closed."""
    return {
        "recordings": len(before.control), "before": before.means(), "after": after.means(),
        "change": changes(before, after),
        "gap_closed": gap_closed(before.sung, after.sung),
    }  # fmt: skip


def gap_closed(before: Sequence[Resung], after: Sequence[Resung]) -> dict[str, float] | str:
    """Share of the base's kernel distance to the recordings that is closed, down to that of recordings to each other.

    As `python -m synth.adapt.gain` has it, which says more. A line where it cannot be said.
    """
    try:
        real = excerpts_of(before, real=True, voice=False)
        sides = [excerpts_of(side, real=False, voice=False) for side in (before, after)]
    except UserError as few:
        return str(few)
    found = Kernel(real, Halves(real.owners)).closed(sides[0], sides[1])
    values = {f"{name}_distance": found[name]["value"] for name in ("base", "adapted", "real")}
    return {
        "closed": found["closed"]["value"],
        "low": found["closed"]["low"],
        "high": found["closed"]["high"],
        **values,
    }


def _change(before: Sequence[float], after: Sequence[float]) -> Interval:
    return mean_interval(np.array(after) - np.array(before))


def write_previews(folder: Path, before: Judged, after: Judged, n: int = 3) -> tuple[list[Path], str]:
    """FLAC of the first recordings, sung before and after, and their spectrograms as PNG.

    -> (files, why there are no pictures or "")
    """
    folder.mkdir(parents=True, exist_ok=True)
    files: list[Path] = []
    rows = list(zip(before.sung, after.sung, strict=True))[:n]
    for index, (old, new) in enumerate(rows):
        for name, sound in (("real", old.real), ("before", old.made), ("after", new.made)):
            path = folder / f"{index + 1}_{name}.flac"
            write_flac(path, sound.audio)
            files.append(path)
    try:
        for index, (old, new) in enumerate(rows):
            files.append(_picture(folder / f"{index + 1}.png", old, new))
    except ImportError:
        return files, "Pictures need matplotlib: install the evaluation extra."
    return files, ""


def write_flac(path: Path, audio: Float32Array) -> None:
    """[n_samples] at 48 kHz; what is beyond full scale is clipped."""
    soundfile.write(path, np.clip(audio, -1.0, 1.0), SAMPLE_RATE_HZ, subtype="PCM_16")


def _picture(path: Path, old: Resung, new: Resung) -> Path:
    # matplotlib takes a while, and belongs to the extras.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 7.0), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(3, 1, sharex=True, sharey=True)
    for axis, title, sound in zip(axes, ("recording", "before", "after"), (old.real, old.made, new.made), strict=True):
        bands: Float32Array = sound.log_mel_db.T.astype(np.float32)
        axis.imshow(bands, origin="lower", aspect="auto", vmin=-80.0, vmax=0.0, cmap="magma",
                    extent=(0.0, bands.shape[1] / 100.0, 0, bands.shape[0]))  # fmt: skip
        axis.set_title(title, loc="left", fontsize=9)
        axis.set_ylabel("mel band")
    axes[-1].set_xlabel("s")
    figure.savefig(path, dpi=100)
    return path
