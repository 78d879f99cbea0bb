"""Figures of the report as SVG text that takes its colour from the page, so that they read on light and dark.

matplotlib comes with the evaluation extra; without it the page has its tables only.
"""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth.errors import UserError
from synth.evaluate.curve import MEASURES as CURVES
from synth.evaluate.curve import CurveReport
from synth.evaluate.lanes import WHOLE, LanesReport
from synth.evaluate.steps import StepsReport

Float64Array = NDArray[np.float64]

_INK = "#010203"  # a colour that nothing else has: it becomes the page's own
_HUES = ("#2f7fd1", "#c2503c", "#3aa88a", "#8a5cc2", "#d19a2f")
_STYLE = {
    "svg.fonttype": "none",
    "font.size": 9.0,
    "text.color": _INK,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.titlesize": 9.0,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_FULL_EFFECT = 1.0
_RATIO_TICKS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)


def lanes_figure(report: LanesReport) -> str:
    """Asked against measured, a small panel a lane."""
    plt = _pyplot()
    with plt.rc_context(_STYLE | {"svg.hashsalt": f"lanes {report.source}"}):
        n_columns = min(5, len(report.lanes))
        n_rows = -(-len(report.lanes) // n_columns)
        figure, axes = plt.subplots(n_rows, n_columns, figsize=(2.0 * n_columns, 2.0 * n_rows), squeeze=False)
        for axis, lane in zip(axes.flat, report.lanes):
            low, high = WHOLE[lane.lane_id]
            axis.plot([low, high], [low, high], color=_INK, linewidth=0.6, alpha=0.5)
            axis.plot(lane.asked, lane.measured, ".", color=_HUES[0], markersize=3.0, alpha=0.6)
            axis.set_title(f"{lane.lane_id} {lane.rho.value:.2f}")
            axis.set_xlim(low, high)
        for axis in axes.flat[len(report.lanes) :]:
            axis.set_axis_off()
        figure.supxlabel("asked")
        figure.supylabel("measured")
        figure.tight_layout()
        return _svg(figure)


def effects_figure(report: LanesReport) -> str:
    """The cross-talk matrix as a heat map with its numbers."""
    plt = _pyplot()
    table = report.cross_talk
    values = np.array(table.effect)
    with plt.rc_context(_STYLE | {"svg.hashsalt": f"effects {report.source}"}):
        figure, axis = plt.subplots(figsize=(7.2, 5.2))
        axis.imshow(_tinted(values), aspect="auto")
        axis.set_xticks(range(len(table.columns)), table.columns, rotation=35, ha="right")
        axis.set_yticks(range(len(table.rows)), table.rows)
        for row, column in np.ndindex(*values.shape):
            axis.text(column, row, f"{values[row, column]:.2f}", ha="center", va="center", fontsize=8)
        axis.set_xlabel("measured")
        axis.set_ylabel("asked")
        figure.tight_layout()
        return _svg(figure)


def _tinted(values: Float64Array) -> Float64Array:
    """Effects as colours: none is clear, so that the page shows through, light or dark. [n, m] -> RGBA [n, m, 4]"""
    import matplotlib.colors

    up, down = (np.array(matplotlib.colors.to_rgb(hue)) for hue in (_HUES[0], _HUES[1]))
    colours = np.where(values[..., None] >= 0.0, up, down)
    strength = np.nan_to_num(np.minimum(np.abs(values) / _FULL_EFFECT, 1.0))
    return np.concatenate([colours, 0.8 * strength[..., None]], axis=-1)


def steps_figure(report: StepsReport) -> str:
    """Change of every measure against the teacher, by number of steps."""
    plt = _pyplot()
    with plt.rc_context(_STYLE | {"svg.hashsalt": "steps"}):
        figure, axis = plt.subplots(figsize=(6.4, 3.4))
        names = [measure.measure for measure in report.rows[0].measures]
        places = np.arange(len(report.rows))
        for index, name in enumerate(names):
            found = [row.measures[index].change_percent for row in report.rows]
            value = np.array([interval.value for interval in found])
            spread = [value - [i.low for i in found], np.array([i.high for i in found]) - value]
            shifted = places + 0.08 * (index - len(names) / 2)
            axis.errorbar(shifted, value, np.nan_to_num(spread), fmt="o-", markersize=4, color=_HUES[index], label=name)
        axis.axhline(10.0, color=_INK, linewidth=0.6, linestyle="--")
        axis.set_xticks(places, [str(row.n_steps) for row in report.rows])
        axis.set_xlabel("steps")
        axis.set_ylabel("change against the teacher, %")
        axis.legend(fontsize=8)
        figure.tight_layout()
        return _svg(figure)


def ratios_figure(names: Sequence[str], ratios: Sequence[tuple[float, float, float]], limit: float) -> str:
    """Ratios (value, low, high) on a logarithmic axis with a line at 1 and at the limit."""
    plt = _pyplot()
    known = [(name, ratio) for name, ratio in zip(names, ratios) if np.isfinite(ratio[0]) and ratio[0] > 0.0]
    with plt.rc_context(_STYLE | {"svg.hashsalt": "ratios " + " ".join(names)}):
        figure, axis = plt.subplots(figsize=(6.4, 0.6 + 0.24 * max(len(known), 1)))
        for place, (_, (value, low, high)) in enumerate(known):
            axis.plot([value], [place], "o", color=_HUES[0], markersize=4)
            if np.isfinite([low, high]).all():
                axis.plot([max(low, 0.05), min(high, 50.0)], [place, place], color=_HUES[0], linewidth=1.2)
        axis.set_xscale("log")
        axis.set_xticks(_RATIO_TICKS, [f"{tick:g}" for tick in _RATIO_TICKS])
        axis.set_xticks([], minor=True)
        axis.set_yticks(range(len(known)), [name for name, _ in known])
        axis.invert_yaxis()
        axis.axvline(1.0, color=_INK, linewidth=0.6)
        axis.axvline(limit, color=_INK, linewidth=0.6, linestyle="--")
        axis.set_xlabel("the model to recordings / recordings to recordings")
        figure.tight_layout()
        return _svg(figure)


def curve_figure(report: CurveReport) -> str:
    """Every measure against minutes of training, a panel each, a line a voice; a picture that stands alone."""
    plt = _pyplot()
    with plt.rc_context(_STYLE | {"svg.hashsalt": "curve"}):
        figure, axes = plt.subplots(1, len(CURVES), figsize=(2.6 * len(CURVES), 2.6), squeeze=False)
        for axis, name in zip(axes.flat, CURVES):
            for hue, voice in zip(_HUES, dict.fromkeys(point.voice for point in report.points)):
                own = [point for point in report.points if point.voice == voice]
                values = np.array([(p.measures[name].value, p.measures[name].low, p.measures[name].high) for p in own])
                spread = np.nan_to_num(np.abs(values[:, 1:].T - values[:, 0]))
                minutes = [point.minutes for point in own]
                axis.errorbar(minutes, values[:, 0], spread, fmt="o-", markersize=4, color=hue, label=voice)
            axis.set_title(name)
            axis.set_xlabel("minutes of training")
        axes.flat[0].legend(fontsize=8)
        figure.tight_layout()
        return _svg(figure)


def _svg(figure: Any) -> str:
    """The figure as an element without prologue, its ink the page's; the figure is closed."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    _pyplot().close(figure)
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace(_INK, "currentColor")
    return re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)


def _pyplot() -> Any:
    try:
        import matplotlib

        matplotlib.use("svg")
        # That its font cache is being built, which takes a moment the first time, is no news to anybody.
        logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
        from matplotlib import pyplot
    except ImportError as fault:
        raise UserError(
            "matplotlib is not installed.", remedy="Install the evaluation extra: .[evaluation]."
        ) from fault
    return pyplot
