"""Plots of the stage-adaptive training study: differences with intervals, curves, the regime as encoders see it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from synth.errors import UserError
from synth.evaluate.stage_tables import BASE, MEASURES, arm_names, difference, pathway_table

try:
    # Never pyplot, which keeps figures and picks a window system.
    _new_figure: Any = importlib.import_module("matplotlib.figure").Figure
    _ticker: Any = importlib.import_module("matplotlib.ticker")
except ImportError as fault:
    raise UserError(
        "Plots need matplotlib, which is not installed.", remedy="Install the evaluation extra: .[evaluation]."
    ) from fault

Run = Mapping[str, Any]
_DPI = 90
_SHOWN = ("v_loss", "log_mel_db_4", "kernel_4")


PICTURES = {
    "differences": "Differences from the static recipe with their intervals",
    "curves": "Error and quality over the steps, mean and range of the seeds",
    "regime": "Discrepancy and regime over the steps",
    "injection": "FiLM and attention by what is given",
}


def draw_all(runs: Sequence[Run], folder: Path, study: str = "stages") -> list[tuple[str, str]]:
    """All of PICTURES -> (file name, label) of each; `study` begins the names."""
    for name, draw in zip(PICTURES, (_differences, _curves, _regimes, _injection), strict=True):
        draw(runs, folder / f"{study}-{name}.png")
    return [(f"{study}-{name}.png", label) for name, label in PICTURES.items()]


def _mechanism_arms(runs: Sequence[Run]) -> list[str]:
    return [name for name in arm_names(runs) if name not in ("film", "attention")]


def _differences(runs: Sequence[Run], path: Path) -> None:
    arms = [name for name in _mechanism_arms(runs) if name != BASE]
    figure = _new_figure(figsize=(11, 0.8 + 0.36 * max(len(arms), 2)))
    axes = figure.subplots(1, len(_SHOWN), sharey=True, squeeze=False)
    for axis, measure in zip(axes[0], _SHOWN, strict=True):
        found = [difference(runs, arm, measure) for arm in arms]
        at = np.arange(len(arms))[::-1]
        for place, one in zip(at, found, strict=True):
            colour = {"better": "#22aa77", "worse": "#cc3333"}.get(one.verdict, "#888888")
            axis.plot([one.percent.low, one.percent.high], [place, place], color=colour, lw=1.5)
            axis.plot(one.percent.value, place, "o", color=colour)
        axis.axvline(0.0, color="k", lw=0.8)
        axis.set_yticks(at, arms)
        axis.set_xlabel(f"{MEASURES[measure][0]}\nagainst the static recipe, %")
    _finish(figure, path)


def _curves(runs: Sequence[Run], path: Path) -> None:
    arms = [name for name in _mechanism_arms(runs) if "," not in name]
    figure = _new_figure(figsize=(11, 3.4))
    axes = figure.subplots(1, len(_SHOWN), squeeze=False)
    for axis, measure in zip(axes[0], _SHOWN, strict=True):
        for arm in arms:
            _band(axis, [run for run in runs if run["arm"] == arm], measure, arm)
        _over_steps(axis)
        axis.set_title(MEASURES[measure][0], fontsize=9)
    axes[0, 0].legend(fontsize=8)
    _finish(figure, path)


def _band(axis: Any, runs: Sequence[Run], measure: str, label: str) -> None:
    """Mean over seeds, and the seeds' range."""
    steps = [row["step"] for row in runs[0]["curve"]]
    values = np.array([[row[measure] for row in run["curve"]] for run in runs])
    (line,) = axis.plot(steps, values.mean(0), label=label)
    axis.fill_between(steps, values.min(0), values.max(0), color=line.get_color(), alpha=0.12)


def _regimes(runs: Sequence[Run], path: Path) -> None:
    static = [run for run in runs if run["arm"] == BASE]
    figure = _new_figure(figsize=(11, 3.4))
    axes = figure.subplots(1, 3)
    for run in static:
        track = np.array(run["track"])
        track = track[track[:, 1] != 0.0]  # from where it is measured
        axes[0].plot(track[:, 0], np.exp(track[:, 1]), color="#357", alpha=0.6)
    columns = [name for name in static[0]["track_columns"] if name.startswith("regime by ")]
    for index, name in enumerate(columns):
        for run in static:
            track = np.array(run["track"])
            at = run["track_columns"].index(name)
            label = name.removeprefix("regime by ") if run is static[0] else None
            axes[1].plot(track[:, 0], track[:, at], color=f"C{index}", alpha=0.7, label=label)
    for index, arm in enumerate(name for name in _mechanism_arms(runs) if name.startswith("all")):
        mine = [np.array(run["track"]) for run in runs if run["arm"] == arm]
        for k, track in enumerate(mine):
            axes[2].plot(track[:, 0], track[:, 4], color=f"C{index}", alpha=0.7, label=arm if k == 0 else None)
    titles = ("discrepancy D, static runs", "regime of the static runs, by encoder", "regime that steers, by arm")
    for axis, title in zip(axes, titles, strict=True):
        _over_steps(axis)
        axis.set_title(title, fontsize=9)
    axes[0].set_yscale("log")
    for axis in axes[1:]:
        if axis.lines:
            axis.legend(fontsize=7)
    _finish(figure, path)


def _injection(runs: Sequence[Run], path: Path) -> None:
    table = pathway_table(runs)
    figure = _new_figure(figsize=(7.5, 3.2))
    axis = figure.subplots()
    for offset, injection in enumerate(("film", "attention")):
        rows = [(k, row[injection]["against both"]) for k, row in enumerate(table.values()) if injection in row]
        if not rows:
            continue
        at = np.array([k for k, _ in rows]) + 0.2 * (offset - 0.5)
        middle = np.array([interval.value for _, interval in rows])
        reach = np.array([[i.value - i.low, i.high - i.value] for _, i in rows]).T
        axis.errorbar(at, middle, yerr=np.maximum(reach, 0.0), fmt="o", capsize=3, label=f"{injection} alone")
    axis.axhline(0.0, color="k", lw=0.8)
    axis.set_xticks(range(len(table)), [name.replace(" ", "\n") for name in table], fontsize=8)
    axis.set_ylabel("error of v against both, %")
    if axis.containers:
        axis.legend(fontsize=8)
    _finish(figure, path)


def _over_steps(axis: Any) -> None:
    """Steps in the logarithm, written out."""
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(_ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.xaxis.set_major_formatter(_ticker.StrMethodFormatter("{x:.0f}"))
    axis.xaxis.set_minor_locator(_ticker.NullLocator())
    axis.set_xlabel("step")


def _finish(figure: Any, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, dpi=_DPI)
