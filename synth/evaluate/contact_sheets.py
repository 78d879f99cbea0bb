"""Spectrograms side by side, with what was asked and what was measured under each: one PNG a lane and one a technique.

A lane's sheet shows five steps of it, generated above and, below, the stretches of real recordings whose measured
lane comes nearest to the same steps. A technique's sheet shows held-out real recordings above their own lanes sung.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from synth.corpus.manifest import Corpus, unit_hash
from synth.errors import UserError
from synth.evaluate.distances import log_mel
from synth.evaluate.recordings import extracted, load_recording
from synth.evaluate.report_form import plain
from synth.evaluate.singing import Gesture, Singer, neutral_controls
from synth.features.analysis import Analysis, analyse
from synth.spec.audio import FRAME_RATE_HZ, HOP_S, HOP_SAMPLES
from synth.spec.controls import Float32Array
from synth.spec.lanes import TECHNIQUES, lane

if TYPE_CHECKING:
    from synth.engine import Engine

Progress = Callable[[int, int], None]
Curve = NDArray[np.floating]

STEPS = (0.0, 0.25, 0.5, 0.75, 1.0)
SHEET_LANES = ("loudness", "breathiness", "roughness", "fry", "tension", "vowel_open", "vowel_front", "tract", "pitch")
_SUNG_FRAMES, _SHOWN = 160, slice(20, 140)  # 1.2 s of the middle
_SHOWN_FRAMES = _SHOWN.stop - _SHOWN.start
_EDGES: Mapping[str, tuple[float, float]] = {"pitch": (40.0, 76.0), "loudness": (-50.0, -10.0)}  # as voices have them
_TECHNIQUE_CURVES = ("roughness", "fry", "breathiness")
_N_REAL = 5
_QUIET_DB = -38.0
_LONGEST_FRAMES = 240
_DPI = 100
_FLOOR_DB, _TOP_DB = -80.0, 0.0
_TICKS_HZ = (100, 300, 1_000, 3_000, 10_000)
_MEL_EDGES_HZ = (40.0, 16_000.0)
_ASKED, _MEASURED = "#e07a1f", "#2f5f9e"


@dataclass(frozen=True, slots=True)
class Tile:
    """One spectrogram: audio [n_samples] at 48 kHz; curves [n_frames] by lane, as measured and as asked."""

    title: str
    audio: Float32Array
    measured: Mapping[str, Curve]
    asked: Mapping[str, Curve]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A picture that was written, and the figures in it: of a lane's sheet, the step asked and the mean measured."""

    kind: str
    name: str
    path: Path
    n_real: int
    steps: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class ContactSheets:
    """Every picture."""

    weights_hash: str
    quality: str
    sheets: tuple[Sheet, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain types only."""
        return plain(self)

    def lines(self) -> list[str]:
        """For a person."""
        return [f"{sheet.path}: {sheet.kind} {sheet.name}, {sheet.n_real} real" for sheet in self.sheets]


def write_contact_sheet(
    engine: Engine,
    folder: Path,
    *,
    corpus_dir: Path | None = None,
    quality: str = "draft",
    lanes: Sequence[str] = SHEET_LANES,
    techniques: Sequence[str] = TECHNIQUES,
    on_progress: Progress | None = None,
) -> ContactSheets:
    """Write lane-<id>.png and technique-<name>.png into `folder`; without a corpus, the generated side alone.

    Raises UserError without matplotlib, or where `folder` cannot be written.
    """
    singer = Singer(engine, quality)
    corpus = None if corpus_dir is None else Corpus.open(corpus_dir)
    folder.mkdir(parents=True, exist_ok=True)
    sheets = []
    for lane_id in lanes:
        sheets.append(_lane_sheet(singer, corpus, lane_id, folder / f"lane-{lane_id}.png"))
        _tell(on_progress, len(sheets), len(lanes) + len(techniques))
    for name in techniques:
        sheets.append(_technique_sheet(singer, corpus, name, folder / f"technique-{name}.png"))
        _tell(on_progress, len(sheets), len(lanes) + len(techniques))
    return ContactSheets(engine.weights_hash, quality, tuple(sheets))


def _tell(on_progress: Progress | None, done: int, total: int) -> None:
    if on_progress is not None:
        on_progress(done, total)


# ---- lanes


def _lane_sheet(singer: Singer, corpus: Corpus | None, lane_id: str, path: Path) -> Sheet:
    generated, steps = [], []
    for number, step in enumerate(STEPS):
        tile, asked, measured = lane_tile(singer, lane_id, step, seed=number)
        generated.append(tile)
        steps.append((asked, measured))
    real = [] if corpus is None else _nearest_real(corpus, lane_id, [asked for asked, _ in steps])
    draw_sheet(
        path, f"{lane(lane_id).title}: five steps, generated" + (" above real" if real else ""), [generated, real]
    )
    return Sheet("lane", lane_id, path, len(real), tuple(steps))


def lane_tile(singer: Singer, lane_id: str, step: float, seed: int) -> tuple[Tile, float, float]:
    """One constant segment with the lane at `step` 0..1 of its range -> (tile, asked, mean measured)."""
    low, high = lane_edges(lane_id)
    asked = low + step * (high - low)
    controls = neutral_controls(_SUNG_FRAMES, {lane_id: asked})
    audio = singer.sing(Gesture(controls), seed)
    measured = analyse(audio).lanes[lane_id][_SHOWN]
    known = measured[np.isfinite(measured)]
    mean = float(known.mean()) if len(known) else float("nan")
    tile = Tile(
        f"asked {asked:.3g}, measured {mean:.3g}",
        audio[_SHOWN.start * HOP_SAMPLES : _SHOWN.stop * HOP_SAMPLES],
        {lane_id: measured},
        {lane_id: np.full(_SHOWN_FRAMES, asked)},
    )
    return tile, asked, mean


def lane_edges(lane_id: str) -> tuple[float, float]:
    """What steps 0 and 1 of a lane ask, in its unit."""
    spec = lane(lane_id)
    return _EDGES.get(lane_id, (spec.minimum, spec.maximum))


def _nearest_real(corpus: Corpus, lane_id: str, wanted: Sequence[float]) -> list[Tile]:
    """For every step the real stretch of _SHOWN_FRAMES, all sung, that stays nearest to it (RMS); none twice.

    Stretches under _QUIET_DB are breaths and rooms, and only count where the lane is loudness itself.
    """
    found: list[tuple[float, float, str, int]] = []
    ones = np.ones(_SHOWN_FRAMES) / _SHOWN_FRAMES
    for record in corpus.records:
        if record.kind != "real" or record.variant or record.duration_s < _SHOWN_FRAMES * HOP_S:
            continue
        lanes = corpus.load(record).lanes
        values = lanes[lane_id].astype(np.float64)
        means, powers = (np.convolve(one, ones, mode="valid") for one in (values, values**2))
        sung = np.convolve(lanes["presence"] > 0.5, ones, mode="valid") > 1.0 - 1e-6
        if lane_id != "loudness":
            sung &= np.convolve(lanes["loudness"], ones, mode="valid") > _QUIET_DB
        starts = [i for i in range(0, len(means), 20) if sung[i] and np.isfinite(means[i])]
        found += [(float(means[i]), float(max(powers[i] - means[i] ** 2, 0.0)), record.id, i) for i in starts]
    records = {record.id: record for record in corpus.records}
    tiles, used = [], set()
    for value in wanted:
        free = [one for one in found if one[2] not in used]
        if not free:
            break
        mean, _, clip_id, start = min(free, key=lambda one: (one[0] - value) ** 2 + one[1])
        used.add(clip_id)
        clip = corpus.load(records[clip_id])
        audio = clip.audio[start * HOP_SAMPLES : (start + _SHOWN_FRAMES) * HOP_SAMPLES]
        measured = {lane_id: clip.lanes[lane_id][start : start + _SHOWN_FRAMES]}
        tiles.append(Tile(f"{_words(records[clip_id].label)}, {mean:.3g}", audio, measured, {}))
    return tiles


def _words(label: str) -> str:
    return f"real: {label.replace('_', ' ')}"


# ---- techniques


def _technique_sheet(singer: Singer, corpus: Corpus | None, name: str, path: Path) -> Sheet:
    """Held-out recordings of the technique above their lanes sung; where none is real, notes at the technique's own."""
    records = [
        record
        for record in ([] if corpus is None else corpus.split("test"))
        if record.kind == "real" and record.technique.get(name, 0.0) > 0.5 and record.duration_s >= 0.4
    ]
    records = sorted(records, key=lambda record: unit_hash(record.id))[:_N_REAL]
    if corpus is None or not records:
        tiles = [_plain_tile(singer, name, note, seed) for seed, note in enumerate((45.0, 51.0, 57.0, 63.0, 69.0))]
        draw_sheet(path, f"{name}: generated at five pitches (no held-out recording)", [tiles])
        return Sheet("technique", name, path, 0, ())
    real, sung = [], []
    for seed, record in enumerate(records):
        recording = load_recording(corpus, record)
        audio = recording.audio[: _LONGEST_FRAMES * HOP_SAMPLES]
        analysis = analyse(audio)
        gesture = extracted(analysis)
        made = singer.sing(gesture, seed)
        real.append(Tile(_words(record.label), audio, _curves(analysis), {}))
        asked = {lane_id: gesture.controls.values[lane_id] for lane_id in _TECHNIQUE_CURVES}
        sung.append(Tile("its lanes, sung", made, _curves(analyse(made)), asked))
    draw_sheet(path, f"{name}: held-out recordings above their lanes sung", [real, sung])
    return Sheet("technique", name, path, len(real), ())


def _plain_tile(singer: Singer, name: str, note: float, seed: int) -> Tile:
    controls = neutral_controls(_SUNG_FRAMES, {"pitch": note}, technique=name)
    audio = singer.sing(Gesture(controls), seed)
    asked = {lane_id: controls.values[lane_id] for lane_id in _TECHNIQUE_CURVES}
    return Tile(f"note {note:g}", audio, _curves(analyse(audio)), asked)


def _curves(analysis: Analysis) -> dict[str, Curve]:
    return {lane_id: analysis.lanes[lane_id] for lane_id in _TECHNIQUE_CURVES}


# ---- drawing


def draw_sheet(path: Path, title: str, rows: Sequence[Sequence[Tile]]) -> None:
    """Write rows of tiles as a PNG: a spectrogram each, its curves under it. Raises UserError."""
    rows = [row for row in rows if row]
    curves = sorted({lane_id for row in rows for tile in row for lane_id in tile.measured})
    n_columns = max(map(len, rows))
    per_tile = 1 + len(curves)
    figure_class, canvas_class = _matplotlib()
    heights = [2.2, *[0.8] * len(curves)] * len(rows)
    figure = figure_class(figsize=(2.6 * n_columns + 0.6, sum(heights) + 0.5 * len(rows) + 0.6), dpi=_DPI)
    canvas_class(figure)
    figure.suptitle(f"{title}   (orange: asked, blue: measured)", fontsize=11)
    axes = figure.subplots(per_tile * len(rows), n_columns, squeeze=False, gridspec_kw={"height_ratios": heights})
    for axis in axes.ravel():
        axis.set_visible(False)
    for number, row in enumerate(rows):
        for column, tile in enumerate(row):
            block = axes[number * per_tile : (number + 1) * per_tile, column]
            _draw_tile(block, tile, curves, with_scale=column == 0)
    figure.subplots_adjust(left=0.06, right=0.995, top=1.0 - 0.75 / figure.get_figheight(), bottom=0.04, hspace=0.45)
    try:
        figure.savefig(path, format="png", metadata={"Software": None})
    except OSError as fault:
        raise UserError(f"The picture {path} cannot be written.", remedy="Choose a folder you may write to.") from fault


def _draw_tile(axes: Any, tile: Tile, curves: Sequence[str], *, with_scale: bool) -> None:
    bands = log_mel(tile.audio)
    shown = bands - bands.max()
    duration_s = len(bands) / FRAME_RATE_HZ
    top = axes[0]
    top.set_visible(True)
    extent = (0.0, duration_s, 0.0, bands.shape[1])
    top.imshow(shown.T, origin="lower", aspect="auto", extent=extent, vmin=_FLOOR_DB, vmax=_TOP_DB, cmap="magma")
    top.set_title(tile.title, fontsize=7.5)
    top.set_xticks([])
    top.set_yticks([_band_of(hz, bands.shape[1]) for hz in _TICKS_HZ])
    top.set_yticklabels([f"{hz:g}" for hz in _TICKS_HZ] if with_scale else [], fontsize=7)
    for axis, lane_id in zip(axes[1:], curves):
        axis.set_visible(True)
        for values, colour in ((tile.asked.get(lane_id), _ASKED), (tile.measured.get(lane_id), _MEASURED)):
            if values is not None:
                t_s = (np.arange(len(values)) + 0.5) * HOP_S
                axis.plot(t_s, values, color=colour, linewidth=2.0 if colour == _ASKED else 1.0)
        low, high = lane_edges(lane_id)
        margin = 0.06 * (high - low)
        axis.set_ylim(low - margin, high + margin)
        axis.set_xlim(0.0, duration_s)
        axis.tick_params(labelsize=7, labelbottom=lane_id == curves[-1])
        if with_scale:
            axis.set_ylabel(lane(lane_id).title, fontsize=7)
        else:
            axis.set_yticklabels([])


def _band_of(hz: float, n_bands: int) -> float:
    """Where a frequency lies on the mel axis of synth.evaluate.distances.log_mel."""
    low, high, mel = (2595.0 * np.log10(1.0 + value / 700.0) for value in (*_MEL_EDGES_HZ, hz))
    return float((mel - low) / (high - low) * (n_bands + 1) - 0.5)


def _matplotlib() -> tuple[Any, Any]:
    """Its figure and the canvas that needs no display; never pyplot, which keeps figures and picks a window system."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # in the evaluation extra only
        from matplotlib.figure import Figure
    except ImportError as fault:
        raise UserError(
            "matplotlib is not installed.", remedy="Install the evaluation extra: .[evaluation]."
        ) from fault
    return Figure, FigureCanvasAgg
