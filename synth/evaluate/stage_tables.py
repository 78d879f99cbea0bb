"""Tables of the stage-adaptive training study: paired differences with intervals, and what the regime tells.

A difference counts as decided when its 95 % interval, bootstrapped over seeds, leaves out zero; else it is undecided.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth.errors import UserError
from synth.evaluate.statistics import Interval, mean_interval, rank_correlation

Run = Mapping[str, Any]
BASE = "static recipe"
# What is measured of a run at its end: smaller is better everywhere.
MEASURES: Mapping[str, tuple[str, Callable[[Run], float]]] = {
    "v_loss": ("error of v", lambda run: run["curve"][-1]["v_loss"]),
    "low": ("error of v, low noise", lambda run: float(np.mean(run["curve"][-1]["bands"][:3]))),
    "high": ("error of v, high noise", lambda run: float(np.mean(run["curve"][-1]["bands"][-3:]))),
    "log_mel_db_4": ("log-mel distance, 4 steps, dB", lambda run: run["curve"][-1]["log_mel_db_4"]),
    "log_mel_db_16": ("log-mel distance, 16 steps, dB", lambda run: run["curve"][-1]["log_mel_db_16"]),
    "kernel_4": ("kernel distance, 4 steps", lambda run: run["curve"][-1]["kernel_4"]),
    "kernel_16": ("kernel distance, 16 steps", lambda run: run["curve"][-1]["kernel_16"]),
}


@dataclass(frozen=True, slots=True)
class Difference:
    """An arm against the static recipe over the seeds both have, in percent of the static recipe's mean."""

    arm: str
    measure: str
    mean: float
    percent: Interval

    @property
    def verdict(self) -> str:
        """better, worse or undecided."""
        if not math.isfinite(self.percent.value) or self.percent.n < 2:
            return "undecided"
        if self.percent.high < 0.0:
            return "better"
        return "worse" if self.percent.low > 0.0 else "undecided"


def read_results(path: Path) -> dict[str, Any]:
    """What the study wrote. UserError when it is missing or damaged."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if not stored["runs"]:
            raise ValueError("no runs")
        if BASE not in {run["arm"] for run in stored["runs"]}:
            raise ValueError(f"the {BASE} is not among its arms")
    except FileNotFoundError as fault:
        raise UserError(f"There are no results at {path}.", remedy="Run the study first.") from fault
    except (OSError, ValueError, KeyError) as fault:
        raise UserError(f"{path} cannot be read: {fault}.", remedy="Run the study again.") from fault
    return stored


def arm_names(runs: Sequence[Run]) -> list[str]:
    """In the order of the study: the static recipe first."""
    names = list(dict.fromkeys(run["arm"] for run in runs))
    return sorted(names, key=lambda name: name != BASE)


def paired(runs: Sequence[Run], arm: str, base: str, value: Callable[[Run], float]) -> tuple[list[float], list[float]]:
    """Values of two arms over the seeds both have -> (arm's, base's)."""
    sides = [{run["seed"]: value(run) for run in runs if run["arm"] == name} for name in (arm, base)]
    seeds = sorted(set(sides[0]) & set(sides[1]))
    return [sides[0][seed] for seed in seeds], [sides[1][seed] for seed in seeds]


def difference(runs: Sequence[Run], arm: str, measure: str, base: str = BASE) -> Difference:
    """Paired over seeds."""
    mine, theirs = paired(runs, arm, base, MEASURES[measure][1])
    scale = 100.0 / abs(float(np.mean(theirs))) if theirs else math.nan
    each = [scale * (a - b) for a, b in zip(mine, theirs, strict=True)]
    return Difference(arm, measure, float(np.mean(mine)) if mine else math.nan, mean_interval(each))


def regime_correlations(runs: Sequence[Run]) -> dict[str, Interval]:
    """Spearman's rho of the measured regime with loss and quality over a run's measurements, averaged over runs.

    Everything moves with time, so each is given twice: as it is, and with the ranks of the step taken out (partial).
    """
    result = {}
    chosen = [run for run in runs if run["injection"] == "both" and run["encoder"] in ("ours", "second seed")]
    for measure in ("v_loss", "log_mel_db_4", "kernel_4"):
        plain, partial = [], []
        for run in chosen:
            regime, value, step = (np.array([row[key] for row in run["curve"]]) for key in ("regime", measure, "step"))
            plain.append(float(rank_correlation(regime, value)))
            partial.append(_partial(regime, value, step))
        result[measure] = mean_interval(plain)
        result[f"{measure}, step taken out"] = mean_interval(partial)
    return result


def _partial(a: NDArray[np.float64], b: NDArray[np.float64], c: NDArray[np.float64]) -> float:
    """Rank correlation of a and b given c (first-order partial correlation)."""
    ab, ac, bc = (float(rank_correlation(x, y)) for x, y in ((a, b), (a, c), (b, c)))
    scale = (1.0 - ac**2) * (1.0 - bc**2)
    return (ab - ac * bc) / math.sqrt(scale) if scale > 1e-9 else math.nan


def turning_step(run: Run, column: str) -> float:
    """First recorded step at which a regime of the track exceeds one half; NaN when it never does."""
    index = run["track_columns"].index(column)
    return next((float(row[0]) for row in run["track"] if row[index] > 0.5), math.nan)


def observer_turns(runs: Sequence[Run]) -> dict[str, list[float]]:
    """For the same static runs, when each encoder's regime turned -> encoder -> a step a seed, NaN: never."""
    static = [run for run in runs if run["arm"] == BASE]
    columns = [name for name in static[0]["track_columns"] if name.startswith("regime by ")] if static else []
    return {name.removeprefix("regime by "): [turning_step(run, name) for run in static] for name in columns}


def pathway_table(runs: Sequence[Run]) -> dict[str, dict[str, dict[str, Interval]]]:
    """Error of v with one pathway's conditions alone: pathway -> injection -> "value" and "against both", percent."""
    names = {"both": BASE, "film": "film", "attention": "attention"}
    present = {run["arm"] for run in runs}
    table: dict[str, dict[str, dict[str, Interval]]] = {}
    for pathway in runs[0]["curve"][-1]["pathways"]:
        table[pathway] = {}
        for injection, arm in names.items():
            if arm not in present or BASE not in present:
                continue
            mine, theirs = paired(runs, arm, BASE, lambda run, key=pathway: run["curve"][-1]["pathways"][key])
            percent = [100.0 * (a - b) / b for a, b in zip(mine, theirs, strict=True)]
            table[pathway][injection] = {"value": mean_interval(mine), "against both": mean_interval(percent)}
    return table


def markdown(stored: Mapping[str, Any]) -> str:
    """All tables, as a page that a document can take over."""
    runs: list[Run] = stored["runs"]
    arms = [name for name in arm_names(runs) if name not in ("film", "attention")]
    plan = stored["plan"]
    lines = [
        f"{len(runs)} runs on {stored['device']}, {plan['steps']} steps of {plan['batch']} windows, "
        f"{runs[0]['parameters']} parameters each, {stored['minutes']} minutes in all.",
        "",
        *_difference_table(runs, arms),
        "",
        *_correlation_table(runs),
        "",
        *_turn_table(runs, arms),
        "",
        *_pathway_lines(runs),
        "",
        *_encoder_lines(stored["encoders"]),
    ]
    return "\n".join(lines) + "\n"


def _difference_table(runs: Sequence[Run], arms: Sequence[str]) -> list[str]:
    heads = [label for label, _ in MEASURES.values()]
    lines = ["| arm | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    static = [np.mean([value(run) for run in runs if run["arm"] == BASE]) for _, value in MEASURES.values()]
    lines.append(f"| {BASE} | " + " | ".join(f"{value:.4g}" for value in static) + " |")
    for arm in arms:
        if arm != BASE:
            cells = [_cell(difference(runs, arm, measure)) for measure in MEASURES]
            lines.append(f"| {arm} | " + " | ".join(cells) + " |")
    return lines


def _cell(found: Difference) -> str:
    interval = found.percent
    return f"{interval.value:+.1f} % [{interval.low:+.1f}, {interval.high:+.1f}] {found.verdict}"


def _correlation_table(runs: Sequence[Run]) -> list[str]:
    lines = ["| regime against | Spearman's rho, mean over runs |", "|---|---|"]
    return lines + [f"| {name} | {interval} |" for name, interval in regime_correlations(runs).items()]


def _turn_table(runs: Sequence[Run], arms: Sequence[str]) -> list[str]:
    lines = ["| regime measured by, on the static runs | turns at step, a seed each |", "|---|---|"]
    for name, steps in observer_turns(runs).items():
        lines.append(f"| {name} | {', '.join(_step(step) for step in steps)} |")
    lines += ["", "| arm | its regime turns at step, a seed each | structure groups |", "|---|---|---|"]
    for arm in arms:
        mine = [run for run in runs if run["arm"] == arm]
        turns = ", ".join(_step(turning_step(run, "regime_used")) for run in mine)
        groups = ", ".join(_group_sizes(run["groups"]) for run in mine)
        lines.append(f"| {arm} | {turns} | {groups} |")
    return lines


def _step(step: float) -> str:
    return f"{step:.0f}" if math.isfinite(step) else "never"


def _group_sizes(groups: Sequence[int]) -> str:
    return "+".join(str(groups.count(number)) for number in dict.fromkeys(groups)) if groups else "none"


def _pathway_lines(runs: Sequence[Run]) -> list[str]:
    table = pathway_table(runs)
    lines = ["| conditions given | both | film alone | attention alone |", "|---|---|---|---|"]
    for pathway, row in table.items():
        cells = []
        for injection in ("both", "film", "attention"):
            if injection not in row:
                cells.append("not run")
                continue
            value, against = row[injection]["value"], row[injection]["against both"]
            percent = (
                "" if injection == "both" else f", {against.value:+.1f} % [{against.low:+.1f}, {against.high:+.1f}]"
            )
            cells.append(f"{value.value:.4f}{percent}")
        lines.append(f"| {pathway} | " + " | ".join(cells) + " |")
    return lines


def _encoder_lines(encoders: Mapping[str, Any]) -> list[str]:
    lines = ["| encoder | steps | technique by nearest clips, real | simulated |", "|---|---|---|---|"]
    for name, notes in encoders.items():
        found = notes["technique_by_neighbours"]
        shares = " | ".join(f"{100 * found[kind]:.1f} %" if kind in found else "none" for kind in ("real", "simulated"))
        lines.append(f"| {name} | {notes.get('steps', 'none')} | {shares} |")
    return lines
