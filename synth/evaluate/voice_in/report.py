"""Listening judged: pitch by Praat, SwiftF0 and voices whose pitch is known, lanes and techniques by the ears."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from synth.corpus.manifest import Corpus, Split
from synth.evaluate.trackers import TRACKERS
from synth.evaluate.voice_in.agreement import (
    GROSS_CENTS,
    OCTAVE_CENTS,
    LaneAgreement,
    PitchAgreement,
    TechniqueAgreement,
    lane_agreements,
    pitch_agreement,
    presence_delays_s,
    summary,
    technique_agreements,
)
from synth.evaluate.voice_in.material import ClipHeard, chosen_records, hear_clips, listen
from synth.listening.heard import READ_LANES
from synth.spec.audio import HOP_S, SAMPLE_RATE_HZ
from synth.spec.controls import Float32Array

ABOVE_HZ: Final = 100.0
KNOWN: Final = "known"
_STEP_S: Final = 0.4
_STEPS_HZ: Final = (110.0, 165.0, 110.0, 220.0, 330.0, 220.0, 440.0, 659.3, 440.0, 220.0, 311.1, 196.0, 392.0, 587.3)
_ARRIVED_CENTS: Final = 50.0
_OCTAVES_PER_S: Final = (0.5, 1.0, 2.0, 4.0)

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class PitchFigures:
    """One judge's over one kind of voice. delay_s: median and 95th percentile over clips; the rest over hops.

    heard_percent: of the hops the judge hears as voiced
    """

    material: str
    judge: str
    n_clips: int
    n_hops: int
    delay_s: float
    delay_p95_s: float
    median_cents: float
    gross_percent: float
    octave_percent: float
    heard_percent: float


@dataclass(frozen=True, slots=True)
class VoiceInReport:
    """glide_delays_s: octaves a second -> delay; steps: seconds until a step of pitch is heard within 50 cents."""

    pitch: tuple[PitchFigures, ...]
    glide_delays_s: dict[str, float]
    steps: dict[str, float]
    lanes: dict[str, tuple[LaneAgreement, ...]]
    techniques: dict[str, tuple[TechniqueAgreement, ...]]
    presence_s: dict[str, float]
    processor_share: float

    def to_json(self) -> dict[str, Any]:
        """Numbers that are not known are null."""
        return _plain(asdict(self))


def judge_listening(
    corpus: Corpus, split: Split, n_clips: int, *, seed: int = 0, on_progress: OnProgress = lambda _done, _of: None
) -> VoiceInReport:
    """Listen to clips of `split` and compare. Raises UserError for a corpus without such clips."""
    records = chosen_records(corpus, split, n_clips, seed)
    clips: list[ClipHeard] = []
    for clip in hear_clips(corpus, records, None):
        clips.append(clip)
        on_progress(len(clips), len(records))
    kinds = {kind: [clip for clip in clips if clip.record.kind == kind] for kind in ("real", "simulated")}
    return VoiceInReport(
        pitch=tuple(_pitch_figures(kinds)),
        glide_delays_s={f"{speed:g}": _glide_delay_s(speed) for speed in _OCTAVES_PER_S},
        steps=dict(summary(_step_delays_s())),
        lanes={
            kind: tuple(lane_agreements(found, ("loudness", *READ_LANES))) for kind, found in kinds.items() if found
        },
        techniques={kind: tuple(technique_agreements(found)) for kind, found in kinds.items() if found},
        presence_s=dict(summary(presence_delays_s(clips))),
        processor_share=processor_share(),
    )


def processor_share(seconds: float = 0.5, repeats: int = 20) -> float:
    """Processor time that listening takes of a second of input, the least disturbed of many short runs."""
    audio = partials(np.geomspace(110.0, 440.0, round(seconds * SAMPLE_RATE_HZ)))
    shares = []
    for _ in range(repeats):
        begin_s = time.process_time()
        listen(audio, SAMPLE_RATE_HZ)
        shares.append((time.process_time() - begin_s) / seconds)
    return min(shares)


def partials(f0_hz: NDArray[np.float64]) -> Float32Array:
    """A vowel of exactly this pitch: partials under two resonances, and breath 40 dB below -> like f0_hz."""
    phase = 2.0 * np.pi * np.cumsum(f0_hz) / SAMPLE_RATE_HZ
    voice = 0.01 * np.random.default_rng(0).standard_normal(len(f0_hz))
    for number in range(1, 30):
        partial_hz = number * f0_hz
        gain = np.exp(-(((partial_hz - 600.0) / 500.0) ** 2)) + 0.3 * np.exp(-(((partial_hz - 1_300.0) / 500.0) ** 2))
        gain = np.where(partial_hz < 0.45 * SAMPLE_RATE_HZ, gain + 0.1 / number, 0.0)
        voice += gain * np.cos(number * phase + 0.3 * number**2)
    return (0.1 * voice).astype(np.float32)


def _pitch_figures(kinds: dict[str, list[ClipHeard]]) -> list[PitchFigures]:
    figures = []
    for kind, clips in kinds.items():
        for name in sorted({clip.name for clip in clips}):
            of_name = [clip for clip in clips if clip.name == name]
            judges = {
                judge: [pitch_agreement(clip.heard, *_track(judge, clip), above_hz=ABOVE_HZ) for clip in of_name]
                for judge in (*TRACKERS, *([KNOWN] if kind == "simulated" else []))
            }
            for judge, agreements in judges.items():
                found = [each for each in agreements if each is not None]
                if found:
                    figures.append(_figures(f"{kind}, {name}", judge, found))
    return figures


def _track(judge: str, clip: ClipHeard) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A judge's times and notes; what the simulator sang counts where the ears hear a pitch."""
    if judge != KNOWN:
        heard = TRACKERS[judge](clip.audio)
        return heard.t_s, heard.note
    note = clip.clip.true_lanes["pitch"].astype(np.float64)
    sung = clip.clip.f0.voiced & (clip.clip.lanes["presence"] > 0.5)
    t_s = ((np.arange(len(note)) + 0.5) * HOP_S).astype(np.float64)
    return t_s, np.where(sung, note, np.nan)


def _figures(material: str, judge: str, found: Sequence[PitchAgreement]) -> PitchFigures:
    cents = np.concatenate([each.cents for each in found])
    delays_s = [each.delay_s for each in found]
    return PitchFigures(
        material, judge, len(found), len(cents), float(np.median(delays_s)), float(np.percentile(delays_s, 95.0)),
        float(np.median(cents)), 100.0 * float(np.mean(cents > GROSS_CENTS)),
        100.0 * float(np.mean(cents > OCTAVE_CENTS)), 100.0 * float(np.mean([each.heard_share for each in found])),
    )  # fmt: skip


def _glide_delay_s(octaves_per_s: float) -> float:
    """How late a glide from 110 Hz over two octaves and back is heard."""
    n_samples = round(2.0 / octaves_per_s * SAMPLE_RATE_HZ)
    up_hz = np.geomspace(110.0, 440.0, n_samples)
    f0_hz = np.concatenate((up_hz, up_hz[::-1]))
    heard, _ = listen(partials(f0_hz), SAMPLE_RATE_HZ)
    t_s = np.arange(0, len(f0_hz), 48) / SAMPLE_RATE_HZ
    found = pitch_agreement(heard, t_s, 69.0 + 12.0 * np.log2(f0_hz[::48] / 440.0), above_hz=ABOVE_HZ)
    return float("nan") if found is None else found.delay_s


def _step_delays_s() -> list[float]:
    """From each step of pitch until what is heard is, and stays for 20 ms, within _ARRIVED_CENTS -> seconds."""
    f0_hz = np.repeat(_STEPS_HZ, round(_STEP_S * SAMPLE_RATE_HZ))
    heard, _ = listen(partials(f0_hz), SAMPLE_RATE_HZ)
    ends_s = np.array([hop.end_s for hop in heard])
    hz = np.array([max(hop.hz, 1.0) for hop in heard])
    delays = []
    for index, target_hz in enumerate(_STEPS_HZ):
        if index == 0:
            continue
        inside = (ends_s > index * _STEP_S) & (ends_s <= (index + 1) * _STEP_S)
        near = np.abs(1_200.0 * np.log2(hz[inside] / target_hz)) < _ARRIVED_CENTS
        stays = np.flatnonzero(np.convolve(near, np.ones(4), "valid") == 4.0)
        delays.append(float(ends_s[inside][stays[0]] - index * _STEP_S) if len(stays) else _STEP_S)
    return delays


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
