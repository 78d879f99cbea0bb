"""The main job on real things: held-out recordings extracted and sung again, beside WORLD and the codec's ceiling."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from synth.evaluate import world
from synth.evaluate.distances import MEASURES, PAIRED, Sound, log_mel_distance, mr_stft_distance, voice_distances
from synth.evaluate.recordings import Recording, encode, extracted
from synth.evaluate.singing import Singer
from synth.evaluate.statistics import Interval, mean_interval
from synth.spec.controls import Float32Array

Progress = Callable[[int, int], None]

ALL = "all"
METHODS = ("codec", "model", "model, timbre over time", "world")
FLOORS = ("codec, two realisations", "model, two seeds")
_SEED = 0


@dataclass(frozen=True, slots=True)
class ResynthesisRow:
    """One method over the recordings of one label (ALL: of every label); smaller is closer to the recording.

    For FLOORS: two renders of the same thing against each other, log_mel_db and mr_stft only.
    """

    label: str
    method: str
    n_recordings: int
    measures: Mapping[str, Interval]


@dataclass(frozen=True, slots=True)
class ResynthesisReport:
    """Rows by label, then by method; `setting` says what was given to the model."""

    weights_hash: str
    quality: str
    setting: str
    rows: tuple[ResynthesisRow, ...]


def evaluate_resynthesis(
    singer: Singer, recordings: Sequence[Recording], on_progress: Progress | None = None
) -> ResynthesisReport:
    """Every recording by every method."""
    measured: list[tuple[str, str, dict[str, float]]] = []
    for done, recording in enumerate(recordings):
        real = Sound.of(recording.audio)
        renders = render_all(singer, recording, real)
        for method in METHODS:
            measured.append((recording.label, method, voice_distances(Sound.of(renders[method]), real)))
        counts = real.analysis.lanes["presence"] > 0.5
        for method, again in zip(FLOORS, ("codec again", "model again")):
            first, second = renders[again.split()[0]], renders[again]
            spectra = Sound.of(first).log_mel_db, Sound.of(second).log_mel_db
            floor = {
                "log_mel_db": log_mel_distance(*spectra, counts),
                "mr_stft": mr_stft_distance(first, second),
            }
            measured.append((recording.label, method, floor))
        if on_progress is not None:
            on_progress(done + 1, len(recordings))
    setting = (
        "held-out recordings; drawn lanes as extracted, technique not asked, no pitch drift added; "
        "codec and WORLD see the recording itself"
    )
    return ResynthesisReport(singer.engine.weights_hash, singer.quality, setting, _rows(measured))


def render_all(singer: Singer, recording: Recording, real: Sound) -> dict[str, Float32Array]:
    """The recording by every method, and once more by those that have a seed. -> method -> [n_samples]"""
    latents, controls = encode(singer.engine, recording.audio)
    gesture = extracted(real.analysis)
    return {
        "codec": singer.decode(latents, controls, _SEED),
        "codec again": singer.decode(latents, controls, _SEED + 1),
        "model": singer.sing(gesture, _SEED),
        "model again": singer.sing(gesture, _SEED + 1),
        "model, timbre over time": singer.sing(extracted(real.analysis, varying_timbre=True), _SEED),
        "world": world.resynthesise(recording.audio),
    }


def _rows(measured: Sequence[tuple[str, str, Mapping[str, float]]]) -> tuple[ResynthesisRow, ...]:
    rows = []
    for label in (*sorted({label for label, _, _ in measured}), ALL):
        for method in (*METHODS, *FLOORS):
            found = [d for other, by, d in measured if by == method and label in (other, ALL)]
            names = MEASURES if method in METHODS else PAIRED
            intervals = {name: mean_interval([distances[name] for distances in found]) for name in names}
            rows.append(ResynthesisRow(label, method, len(found), intervals))
    return tuple(rows)
