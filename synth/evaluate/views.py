"""Each part's report as blocks of a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from synth.evaluate.blocks import Block, Picture, Table, Text, between, drawn, number
from synth.evaluate.codec_fidelity import CodecFidelity
from synth.evaluate.contact_sheets import ContactSheets
from synth.evaluate.cost import CostReport
from synth.evaluate.crosstalk import CrosstalkReport
from synth.evaluate.fidelity import Deviation, FidelityReport
from synth.evaluate.figures import effects_figure, lanes_figure, ratios_figure, steps_figure
from synth.evaluate.frame_lines import FrameLinesReport
from synth.evaluate.halves import HalfDistances
from synth.evaluate.kernel import KernelReport
from synth.evaluate.lanes import LanesReport
from synth.evaluate.onsets import OnsetsReport
from synth.evaluate.pitch import PitchReport
from synth.evaluate.proof import Ablation
from synth.evaluate.recognition import RecognitionReport
from synth.evaluate.silence import SilenceReport
from synth.evaluate.speed import SpeedReport
from synth.evaluate.steps import StepsReport

_RATIO_LIMIT = 2.0


def blocks_of(name: str, report: Any) -> list[Block]:
    """What a part found; as plain lines where the report tells itself (`lines`)."""
    if name in _VIEWS:
        return _VIEWS[name](report)
    return [Text("\n".join(report.lines()), is_verbatim=True)]


def _cost(report: CostReport) -> list[Block]:
    parameters = ", ".join(f"{part} {count / 1e6:.2f} M" for part, count in report.parameters.items())
    rows = [
        ["parameters", parameters],
        ["weights", f"{report.weights_mb:.1f} MB"],
        ["sampling steps", str(report.n_steps)],
        ["times real time", f"{report.times_realtime:.1f} ({report.threads} threads, {report.device})"],
        ["sampling, decoding", f"{report.sample_s:.2f} s, {report.decode_s:.2f} s for {report.passage_s:g} s of sound"],
        ["processor time of that", f"{report.processor_s:.2f} s"],
        ["peak memory of this process", f"{report.peak_memory_mb:.0f} MB"],
        ["everything that is installed as a model", f"{report.shipped_mb:.1f} MB"],
    ]
    if report.packing is not None:
        words = f"{report.packing.latents_db:.0f} dB in the latents, {report.packing.spectrum_db:.2f} dB in spectra"
        rows.append(["what packing the networks (bfloat16 products) costs", words])
    renders = [
        [f"{r.passage_s:g} s", r.quality, str(r.threads), f"{r.total_s:.2f} s", f"{r.passage_s / r.total_s:.1f}x",
         f"{r.peak_memory_mb:.0f} MB"]
        for r in report.renderings
    ]  # fmt: skip
    header = ["rendered by the product, fresh process", "quality", "threads", "time", "times real time", "peak memory"]
    return [Table(["", report.quality], rows), *([Table(header, renders)] if renders else [])]


def _speed(report: SpeedReport) -> list[Block]:
    rows = [
        [f"ours, {report.n_steps} steps", "", f"{report.total_s:.2f} s", f"{report.passage_s:g} s",
         f"{report.times_realtime:.1f}x", "", ""]
    ]  # fmt: skip
    for other in report.others:
        peer = other.peer
        rows.append(
            [other.name, other.missing, "", "", "", "", ""]
            if peer is None
            else [
                other.name, f"{peer.n_parameters / 1e6:.1f} M", f"{peer.sample_s:.0f} s", f"{peer.audio_s:.2f} s",
                f"{peer.realtime_factor:.3g}x", f"{number(other.times_faster)}x", f"{number(other.by_processor)}x",
            ]
        )  # fmt: skip
    words = (
        f"{report.threads} threads for everybody. Ours took {report.processor_s:.2f} s of processor time; wall time "
        f"times threads is {report.busy:.2f} of that (about 1 on a machine that is free). The others: "
        f"{_timed(report)} of 50 steps timed, every step does the same work."
    )
    header = ["", "parameters", "time", "sound", "times real time", "ours is faster", "by processor time"]
    return [Table(header, rows), Text(words)]


def _timed(report: SpeedReport) -> str:
    return "/".join(str(other.peer.timed_steps) for other in report.others if other.peer is not None) or "none"


def _lanes(report: LanesReport) -> list[Block]:
    header = [
        "lane",
        "n",
        "Spearman",
        "ceiling",
        "slope",
        "mean error",
        "mean |error|",
        "judge",
        "Spearman of the judge",
    ]
    rows = [
        [
            lane.lane_id,
            str(lane.rho.n),
            between(lane.rho),
            number(lane.ceiling, 2),
            number(lane.slope, 2),
            between(lane.mean_error),
            between(lane.mean_absolute_error),
            lane.judge,
            between(lane.judge_rho),
        ]
        for lane in report.lanes
    ]
    table = report.cross_talk
    words = f"{report.n_segments} segments of {report.n_wanted}: {report.setting}."
    effects = (
        "Partial effects: change of the measured lane, in shares of its range, while the asked lane goes over its "
        f"whole range and the others are held (regression over at least {table.n} segments)."
    )
    cross = [
        [asked, *(f"{value:.2f} [{low:.2f}, {high:.2f}]" for value, low, high in zip(*bounds))]
        for asked, *bounds in zip(table.rows, table.effect, table.low, table.high)
    ]
    return [
        Text(words),
        Table(header, rows),
        *drawn(lambda: lanes_figure(report), "Asked against measured, with Spearman's rho."),
        Text(effects),
        *drawn(lambda: effects_figure(report), "What moves when one lane moves alone."),
        Table(["asked", *table.columns], cross),
    ]


def _pitch(report: PitchReport) -> list[Block]:
    header = [
        "voice",
        "passage",
        "tracker",
        "drift",
        "frames",
        "median cents",
        "95 % under",
        "bias",
        "gross",
        "unheard",
    ]
    rows = [
        [
            found.source,
            found.passage,
            found.tracker,
            f"{found.pitch_drift:g}",
            str(found.n_frames),
            between(found.median_cents),
            between(found.p95_cents),
            number(found.bias_cents, 2),
            f"{number(found.gross_percent, 2)} %",
            f"{number(found.missed_percent, 2)} %",
        ]
        for found in (*report.figures, *report.trackers_alone)
    ]
    words = "Drift 0: exactly the lane; above 0: with the singer's own drift. Simulated: what the trackers get wrong."
    return [Text(words), Table(header, rows)]


def _onsets(report: OnsetsReport) -> list[Block]:
    rows = [
        [
            f"{found.kind} ({found.source})",
            str(found.n_clips),
            str(found.n_frames),
            f"{between(found.right_percent)} %",
            *(f"{number(share)} %" for share in found.shares_percent.values()),
        ]
        for found in (*report.figures, *report.comb_alone)
    ]
    return [Table(["", "clips", "frames", "right", "at F0", "at F0/2", "at F0/3"], rows)]


def _crosstalk(report: CrosstalkReport) -> list[Block]:
    rows = [
        [
            found.change,
            found.tracker,
            str(found.n_notes),
            between(found.plain_cents),
            between(found.with_cents),
            between(found.added_cents),
            f"{number(found.octave_percent, 2)} %",
            f"{number(found.unheard_percent, 2)} %",
        ]
        for found in report.figures
    ]
    header = ["change", "tracker", "notes", "without", "with", "added cents", "notes a semitone off", "unheard"]
    return [Table(header, rows)]


def _silence(report: SilenceReport) -> list[Block]:
    words = (
        f"Where presence is 0 the sound lies {between(report.difference_db)} dB under the voice, at least "
        f"{number(report.lowest_db)} dB; its loudest single frame {number(report.worst_frame_db)} dB."
    )
    return [Text(words)]


def _frame_lines(report: FrameLinesReport) -> list[Block]:
    rows = [[found.voice, number(found.hum_db), number(found.sideband_db)] for found in report.voices]
    return [Table(["voice", "hum at 100 Hz, dB re the voice", "sidebands re their harmonic, dB"], rows)]


def _deviation(rows: Sequence[Deviation]) -> list[Block]:
    cells = [
        [row.group, str(row.n_recordings), between(row.average_db), between(row.frame_db), between(row.mr_stft)]
        for row in rows
    ]
    words = "Held-out recordings extracted to lanes and sung again, against themselves."
    return [Text(words), Table(["", "n", "average spectrum, dB", "every frame, dB", "MR-STFT"], cells)]


def _ratio(halves: HalfDistances) -> str:
    return f"{number(halves.ratio, 2)} [{number(halves.ratio_low, 2)}, {number(halves.ratio_high, 2)}]"


def _fidelity(report: FidelityReport) -> list[Block]:
    rows = [
        [
            row.group,
            row.measure,
            f"{row.n_measured[0]}, {row.n_measured[1]}",
            number(row.real_mean),
            number(row.made_mean),
            number(row.distance),
            number(row.in_deviations, 2),
            number(row.halves.made),
            number(row.halves.real),
            _ratio(row.halves),
        ]
        for row in report.rows
    ]
    header = [
        "group", "measure", "n real, made", "mean real", "mean made", "Wasserstein", "in deviations", "halves: made",
        "halves: real", "ratio",
    ]  # fmt: skip
    names = [f"{row.group} {row.measure}" for row in report.rows]
    ratios = [(row.halves.ratio, row.halves.ratio_low, row.halves.ratio_high) for row in report.rows]
    return [
        Text(f"Half-second excerpts. Geometric mean of the ratios: {number(report.mean_ratio)} (1: as near as real)."),
        Table(header, rows),
        *drawn(lambda: ratios_figure(names, ratios, _RATIO_LIMIT), "Wasserstein distances, real to real as the unit."),
    ]


def _kernel(report: KernelReport) -> list[Block]:
    rows = [
        [
            row.embedding,
            row.group,
            row.distance,
            str(row.n_excerpts),
            between(row.whole),
            number(row.halves.made),
            number(row.halves.real),
            f"{row.halves.n} of {row.halves.n_recordings}",
            _ratio(row.halves),
        ]
        for row in report.rows
    ]
    header = ["embedding", "group", "distance", "n", "same recordings", "halves: made", "halves: real", "n", "ratio"]
    left = ", ".join(f"{group} ({n} excerpts)" for group, n in report.left_out)
    names = [f"{row.group} {row.distance}, {row.embedding}" for row in report.rows]
    ratios = [(row.halves.ratio, row.halves.ratio_low, row.halves.ratio_high) for row in report.rows]
    return [
        *([Text(f"Too few to compare: {left}.")] if left else []),
        Table(header, rows),
        *drawn(lambda: ratios_figure(names, ratios, _RATIO_LIMIT), "Kernel distances, real to real as the unit."),
    ]


def _recognition(report: RecognitionReport) -> list[Block]:
    rows = [
        [
            row.source,
            row.technique,
            str(row.right_percent.n),
            f"{between(row.right_percent)} %",
            "yes" if row.is_validated else "simulator only",
            ", ".join(f"{name} {count}" for name, count in row.heard.items()),
        ]
        for row in report.rows
    ]
    words = (
        f"Validated techniques alike: recordings {number(report.real_percent)} %, sung again "
        f"{number(report.sung_percent)} %, simulated gestures sung {number(report.gestures_sung_percent)} %. "
        f"Known only to the simulator: {', '.join(report.only_simulated) or 'none'}."
    )
    return [Text(words), Table(["audio", "technique", "n", "named so", "validated on recordings", "named"], rows)]


def _steps(report: StepsReport) -> list[Block]:
    names = [measure.measure for measure in report.rows[0].measures]
    rows = []
    for row in report.rows:
        cells = [f"{between(m.value)}  ({number(m.change_percent.value, 2)} %)" for m in row.measures]
        rows.append(
            [f"{row.n_steps} {row.solver}", f"{1000.0 * row.cell_s:.1f}", *cells, f"{number(row.worst_percent, 2)} %"]
        )
    words = (
        f"Against {report.teacher}; {report.n_recordings} recordings sung again, {report.n_segments} segments. In "
        "brackets: change against the teacher, paired; above 0 is worse."
    )
    return [
        Text(words),
        Table(["steps", "ms a cell", *names, "worst"], rows),
        *drawn(lambda: steps_figure(report), "Change against the teacher; the dashed line is 10 %."),
    ]


def _proof(ablations: Sequence[Ablation]) -> list[Block]:
    rows = [
        [
            a.ablation,
            a.measure,
            between(a.as_sampled),
            between(a.ablated),
            between(a.worsening),
            "" if a.is_worse else "NOT" if a.is_proof else "no (information)",
        ]
        for a in ablations
    ]
    marks = ["good" if a.is_worse else "bad" for a in ablations]
    words = "Sampled latents replaced; every distance to the recording must grow beyond its interval."
    header = ["latents", "distance", "as sampled", "replaced", "worsening", "worse"]
    return [Text(words), Table(header, rows, marks)]


def _codec(report: CodecFidelity) -> list[Block]:
    rows = [
        [
            row.technique,
            row.distance,
            str(row.n_recordings),
            between(row.codec),
            between(row.world),
            between(row.floor),
            between(row.ratio),
        ]
        for row in report.rows
    ]
    words = (
        f"{report.numbers_per_frame} numbers every 10 ms; streaming against whole decoding "
        f"{number(report.streaming_difference_db)} dB. Ratio: (codec - floor) / (WORLD - floor)."
    )
    bends = [
        [f"{bend.semitones:+d}", str(bend.n_recordings), *map(between, bend.measures.values())] for bend in report.bends
    ]
    blocks: list[Block] = [Text(words), Table(["technique", "distance", "n", "codec", "WORLD", "floor", "ratio"], rows)]
    if bends:
        blocks.append(Table(["bent by semitones", "n", *report.bends[0].measures], bends))
    return blocks


def _sheets(report: ContactSheets) -> list[Block]:
    return [Picture(sheet.path, f"{sheet.kind} {sheet.name}, {sheet.n_real} real") for sheet in report.sheets]


_VIEWS: Mapping[str, Callable[[Any], list[Block]]] = MappingProxyType(
    {
        "cost": _cost, "speed": _speed, "lanes": _lanes, "ears": _lanes, "pitch": _pitch, "onsets": _onsets,
        "crosstalk": _crosstalk,
        "silence": _silence, "frame_lines": _frame_lines, "deviation": _deviation,
        "fidelity": _fidelity, "kernel": _kernel,
        "recognition": _recognition, "steps": _steps, "proof": _proof, "codec": _codec, "sheets": _sheets,
    }
)  # fmt: skip
