"""The codec beside WORLD on held-out recordings, technique by technique; and that streaming changes nothing.

A distance d is given as (d - floor) / (WORLD - floor): 0 is as close as two realisations of the same noise are to each
other, 1 is WORLD. The floor is the distance of two decodes of the same latents that differ in their noise alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth.codec.decoding import DECODE_FRAMES, decode_cell, decode_cells
from synth.codec.model import Codec
from synth.codec.weights import content_hash
from synth.engine import CODEC_FILE, load_codec
from synth.evaluate import world
from synth.evaluate.codec_bending import BendFigures, bend_figures, measure_bends
from synth.evaluate.codec_distances import DISTANCES, codec_distances
from synth.evaluate.encoding import encode_recording
from synth.evaluate.recordings import Recording, held_out
from synth.evaluate.statistics import CONFIDENCE, N_RESAMPLES, Interval, mean_interval
from synth.evaluate.timebox import Progress, TimeBox
from synth.spec.audio import CELL_FRAMES, CONTEXT_FRAMES, DECODER_PAST_FRAMES
from synth.spec.controls import Float32Array

Float64Array = NDArray[np.float64]

SONG, GROWL, SHOUT, WHISPER, SPEECH, ALL = "song", "growl", "shout", "whisper", "speech", "all"
_PREFIXES = {"sung": SONG, "singing": SONG, "growl": GROWL, "shout": SHOUT, "whisper": WHISPER, "speech": SPEECH}
_SEED, _NOISE_SEEDS = 0, (0, 1)
_RATIO_SEED = 3
_FEWEST_RECORDINGS = 3  # for bounds of a ratio


@dataclass(frozen=True, slots=True)
class FidelityRow:
    """One distance over the recordings of one technique. ratio: (codec - floor) / (WORLD - floor), of the means."""

    technique: str
    distance: str
    n_recordings: int
    codec: Interval
    world: Interval
    floor: Interval
    ratio: Interval


@dataclass(frozen=True, slots=True)
class CodecFidelity:
    """The whole judgement.

    numbers_per_frame     what a latent holds, every 10 ms
    streaming_difference_db   loudest difference of cell-wise and whole decoding, re the RMS of the recording's decode
    bends                 the same latents at other pitches, against the unbent
    """

    weights_hash: str
    numbers_per_frame: int
    streaming_difference_db: float
    rows: tuple[FidelityRow, ...]
    bends: tuple[BendFigures, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def row(self, technique: str, distance: str) -> FidelityRow:
        """One of the rows. KeyError when it is not there."""
        for row in self.rows:
            if (row.technique, row.distance) == (technique, distance):
                return row
        raise KeyError((technique, distance))


def codec_fidelity(
    weights_dir: Path,
    corpus_dir: Path,
    n_recordings: int | None = None,
    *,
    with_bends: bool = True,
    box: TimeBox | None = None,
    on_progress: Progress | None = None,
) -> CodecFidelity:
    """Judge codec.safetensors of a folder on at most `n_recordings` held-out recordings, the labels in turn.

    Raises UserError without weights, recordings or the evaluation extra (WORLD).
    """
    path = weights_dir / CODEC_FILE
    codec = load_codec(path)
    recordings = held_out(corpus_dir, n_recordings)
    digest = content_hash(path)
    return judge_codec(codec, recordings, digest, with_bends=with_bends, box=box, on_progress=on_progress)


def judge_codec(
    codec: Codec,
    recordings: Sequence[Recording],
    weights_hash: str,
    *,
    with_bends: bool = True,
    box: TimeBox | None = None,
    on_progress: Progress | None = None,
) -> CodecFidelity:
    """As `codec_fidelity`, for a codec and recordings at hand."""
    found: list[tuple[str, str, float, float, float]] = []
    differences_db, bends = [], []
    for recording in (box or TimeBox()).take(recordings, on_progress, least=_FEWEST_RECORDINGS):
        encoded = encode_recording(codec, recording.audio)
        first, second = (
            decode_whole(codec, encoded.latents, encoded.note, noise_seed)[: len(recording.audio)]
            for noise_seed in _NOISE_SEEDS
        )
        streamed = decode_streaming(codec, encoded.latents, encoded.note)[: len(recording.audio)]
        differences_db.append(difference_db(streamed, first))
        presence = encoded.presence
        by_codec = [codec_distances(made, recording.audio, presence) for made in (first, second)]
        by_world = codec_distances(world.resynthesise(recording.audio), recording.audio, presence)
        floor = codec_distances(first, second, presence)
        for name in DISTANCES:
            own = float(np.mean([one[name] for one in by_codec]))
            found.append((technique_of(recording.label), name, own, by_world[name], floor[name]))
        if with_bends:
            bends.append(measure_bends(encoded, lambda z, p: decode_whole(codec, z, p)))
    return CodecFidelity(
        weights_hash=weights_hash,
        numbers_per_frame=codec.config.latent_dim,
        streaming_difference_db=max(differences_db, default=float("nan")),
        rows=fidelity_rows(found),
        bends=bend_figures(bends),
    )


def technique_of(label: str) -> str:
    """Growl, whisper, shout, song or speech by a recording's label; simulated voices are called as they are."""
    return _PREFIXES.get(label.split("_")[0], label)


def fidelity_rows(found: Sequence[tuple[str, str, float, float, float]]) -> tuple[FidelityRow, ...]:
    """(technique, distance, codec, WORLD, floor) of every recording -> a row for each technique and distance."""
    rows = []
    for technique in (*sorted({row[0] for row in found}), ALL):
        for name in DISTANCES:
            values = np.array([row[2:] for row in found if row[1] == name and technique in (row[0], ALL)])
            values = values[np.isfinite(values).all(axis=1)]
            codec, by_world, floor = (mean_interval(values[:, column]) for column in range(3))
            rows.append(FidelityRow(technique, name, len(values), codec, by_world, floor, ratio_interval(values)))
    return tuple(rows)


def ratio_interval(values: Float64Array) -> Interval:
    """(codec - floor) / (WORLD - floor) of the means of [n, 3]; recordings are drawn again for the interval."""
    n = len(values)
    if n == 0:
        return Interval(float("nan"), float("nan"), float("nan"), 0)
    drawn = np.random.default_rng(_RATIO_SEED).integers(0, n, size=(N_RESAMPLES, n))
    resampled = _ratio(values[drawn].mean(axis=1))
    defined = resampled[np.isfinite(resampled)]
    if n < _FEWEST_RECORDINGS or len(defined) == 0:
        return Interval(float(_ratio(values.mean(axis=0))), float("nan"), float("nan"), n)
    low, high = np.quantile(defined, [(1.0 - CONFIDENCE) / 2.0, (1.0 + CONFIDENCE) / 2.0])
    return Interval(float(_ratio(values.mean(axis=0))), float(low), float(high), n)


def _ratio(means: Float64Array) -> Float64Array:
    above = means[..., 1] - means[..., 2]
    return (means[..., 0] - means[..., 2]) / np.where(above > 0.0, above, np.nan)


def decode_streaming(codec: Codec, latents: Float32Array, note: Float32Array) -> Float32Array:
    """Cell after cell, as a renderer does; latents from frame -CONTEXT_FRAMES on, note [n_frames] in whole cells."""
    cells = []
    held = np.pad(note, CELL_FRAMES, mode="edge")
    for cell in range(len(note) // CELL_FRAMES):
        first = CONTEXT_FRAMES + cell * CELL_FRAMES - DECODER_PAST_FRAMES
        pitch = held[cell * CELL_FRAMES : (cell + 3) * CELL_FRAMES]
        own = np.ascontiguousarray(latents[:, first : first + DECODE_FRAMES])
        cells.append(decode_cell(codec, own, pitch, seed=_SEED, cell_index=cell, pitch_drift=0.0))
    return np.concatenate(cells)


def decode_whole(codec: Codec, latents: Float32Array, note: Float32Array, noise_seed: int = _SEED) -> Float32Array:
    """As `decode_streaming`, in one go."""
    first = CONTEXT_FRAMES - DECODER_PAST_FRAMES
    n_frames = len(note) - CELL_FRAMES + DECODE_FRAMES
    own = np.ascontiguousarray(latents[:, first : first + n_frames])
    pitch = np.pad(note, CELL_FRAMES, mode="edge")
    return decode_cells(codec, own, pitch, seed=_SEED, cell_index=0, pitch_drift=0.0, noise_seed=noise_seed)


def difference_db(made: Float32Array, wanted: Float32Array) -> float:
    """Largest |difference| re the RMS of `wanted`, dB."""
    rms = float(np.sqrt(np.mean(np.square(wanted, dtype=np.float64)))) + 1e-12
    return float(20.0 * np.log10(np.abs(made - wanted).max() / rms + 1e-12))
