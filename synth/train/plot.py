"""A run's log as a picture: losses, validation and figures, learning rate and gradient, over steps."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from synth.errors import UserError
from synth.train.run_log import LOG_FILE, read_log

PLOT_FILE = "training.png"
_NOT_FIGURES = frozenset({"step", "seconds", "loss", "learning_rate", "grad_norm", "steps_per_s", "left_s"})
_MOST_FIGURES = 6

Rows = list[dict[str, Any]]


def read_stages(run_dir: Path) -> dict[str, Rows]:
    """Every log in a run folder and in the folders of its stages, in the order they were begun. UserError for none."""
    found = [run_dir, *sorted(path for path in run_dir.glob("*") if path.is_dir())] if run_dir.is_dir() else []
    logs = {path: read_log(path) for path in found}
    begun = sorted((path for path, rows in logs.items() if rows), key=lambda path: (path / LOG_FILE).stat().st_mtime)
    if not begun:
        raise UserError(f"{run_dir} holds no log of a training.", remedy="Give the --run folder of a training.")
    return {path.name if path != run_dir else run_dir.name: logs[path] for path in begun}


def plot_run(run_dir: Path, out: Path | None = None) -> tuple[Path, dict[str, Rows]]:
    """Draw a run's log as PNG -> (the picture's path, the rows by stage). UserError without a log or matplotlib."""
    stages = read_stages(run_dir)
    try:
        # Loaded by name: optional, and slow to import.
        figure_module = importlib.import_module("matplotlib.figure")
    except ImportError as fault:
        raise UserError(
            f"Plots need matplotlib, which is not installed ({fault}).",
            remedy="Install the training extra: .[training].",
        ) from fault
    names = _figure_names(stages)
    panels = [("loss", ["loss", "validation"]), ("learning rate", ["learning_rate"]), ("gradient norm", ["grad_norm"])]
    panels += [(name, [name]) for name in names]
    n_rows = -(-len(panels) // 2)
    figure = figure_module.Figure(figsize=(11.0, 2.6 * n_rows), layout="constrained")
    axes = figure.subplots(n_rows, 2, squeeze=False).ravel()
    for axis, (title, values) in zip(axes, panels):
        _draw(axis, title, values, stages)
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    path = out or run_dir / PLOT_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    figure.savefig(temporary, format="png", dpi=110)
    temporary.replace(path)
    return path, stages


def series(rows: Rows, name: str) -> tuple[np.ndarray, np.ndarray]:
    """(steps [n], values [n]) of the rows that have a number there."""
    known = [(row["step"], row[name]) for row in rows if isinstance(row.get(name), int | float)]
    return np.array([step for step, _ in known]), np.array([value for _, value in known], dtype=np.float64)


def _figure_names(stages: dict[str, Rows]) -> list[str]:
    names: dict[str, None] = {}
    for rows in stages.values():
        for row in rows:
            names |= {n: None for n, v in row.items() if isinstance(v, int | float) and n not in _NOT_FIGURES}
    names.pop("validation", None)
    return list(names)[:_MOST_FIGURES]


def _draw(axis: Any, title: str, names: Sequence[str], stages: dict[str, Rows]) -> None:
    """One panel; stages follow each other along the steps."""
    first_step, positive, drawn = 0, True, 0
    for stage, rows in stages.items():
        for name in names:
            steps, values = series(rows, name)
            if len(steps):
                label = " ".join(([stage] if len(stages) > 1 else []) + ([name] if len(names) > 1 else []))
                axis.plot(steps + first_step, values, label=label or None, linewidth=1.2)
                positive, drawn = positive and bool((values > 0.0).all()), drawn + 1
        first_step += max(row["step"] for row in rows)
    axis.set_title(title, fontsize=10)
    axis.set_xlabel("steps")
    axis.grid(alpha=0.3)
    if positive and drawn and title != "learning rate":
        axis.set_yscale("log")
    if drawn > 1:
        axis.legend(fontsize=7)
