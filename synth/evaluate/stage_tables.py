"""Tables of the stage-adaptive training study: paired differences with intervals, and what the regime tells.

A difference counts as decided when its 95 % interval, Student's over the seeds' paired differences, leaves out zero;
else it is undecided. (A bootstrap of five values is too narrow: it would decide about one null in six.)
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t as student

from synth.errors import UserError
from synth.evaluate.statistics import CONFIDENCE, Interval, rank_correlation, spearman_interval

Run = Mapping[str, Any]
BASE = "static recipe"
RANDOM = ", random thresholds"
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
    """An arm against another (the static recipe) over the seeds both have, in percent of the other's mean."""

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


def mean_interval(values: ArrayLike) -> Interval:
    """Mean of the finite ones of [n] with Student's interval; bounds are NaN for fewer than two."""
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    n = len(finite)
    if n < 2:
        return Interval(float(finite[0]) if n else math.nan, math.nan, math.nan, n)
    reach = float(student.ppf(0.5 + 0.5 * CONFIDENCE, n - 1)) * float(finite.std(ddof=1)) / math.sqrt(n)
    return Interval(float(finite.mean()), float(finite.mean()) - reach, float(finite.mean()) + reach, n)


def rho_interval(values: ArrayLike) -> Interval:
    """The same of correlations, which end at -1 and 1."""
    found = mean_interval(values)
    return Interval(found.value, max(found.low, -1.0), min(found.high, 1.0), found.n)


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
    The last asks whether the regime foretells anything: it is set against how fast the error falls from there on,
    -d log / d log step until the next measurement.
    """
    chosen = [run for run in runs if _is_measured(run)]
    series: dict[str, Callable[[Run], NDArray[np.float64]]] = {
        name: lambda run, key=name: np.array([row[key] for row in run["curve"]])
        for name in ("v_loss", "log_mel_db_4", "kernel_4")
    }
    result = {}
    for name, values in series.items():
        result |= _both(name, [(_of(run, "regime"), values(run), _of(run, "step")) for run in chosen])
    falls = [(_of(run, "regime")[:-1], _fall(run), _of(run, "step")[:-1]) for run in chosen]
    return result | _both("fall of v_loss that follows", falls)


def _is_measured(run: Run) -> bool:
    """Whether a run's own regime was measured, and by the encoder that is trained for it."""
    return run["injection"] == "both" and run["thresholds"] == "adaptive" and run["encoder"] in ("ours", "second seed")


def _of(run: Run, key: str) -> NDArray[np.float64]:
    return np.array([row[key] for row in run["curve"]], dtype=np.float64)


def _fall(run: Run) -> NDArray[np.float64]:
    return -np.diff(np.log(_of(run, "v_loss"))) / np.diff(np.log(_of(run, "step")))


def _both(name: str, triples: Sequence[tuple[NDArray[np.float64], ...]]) -> dict[str, Interval]:
    """Plain and partial rho over runs."""
    plain = [float(rank_correlation(regime, value)) for regime, value, _ in triples]
    partial = [_partial(regime, value, step) for regime, value, step in triples]
    return {name: rho_interval(plain), f"{name}, step taken out": rho_interval(partial)}


def discrepancy_correlations(runs: Sequence[Run]) -> dict[str, Interval]:
    """Spearman's rho of log D itself with loss and quality: over a run, with the ranks of the step taken out, averaged
    over runs; and over the runs' ends, each less the mean of its seed."""
    chosen = [run for run in runs if _is_measured(run)]
    result = {}
    for name in ("v_loss", "log_mel_db_4", "kernel_4"):
        partial = [_partial(_log_d_at(run), _of(run, name), _of(run, "step")) for run in chosen]
        result[f"{name}, over a run, step taken out"] = rho_interval(partial)
        ends = np.array([[_log_d_at(run)[-1], _of(run, name)[-1]] for run in chosen])
        seeds = np.array([run["seed"] for run in chosen])
        for seed in set(seeds.tolist()):
            ends[seeds == seed] -= ends[seeds == seed].mean(0)
        result[f"{name}, over the runs' ends"] = spearman_interval(ends[:, 0], ends[:, 1])
    return result


def _log_d_at(run: Run) -> NDArray[np.float64]:
    """log D at the steps of the curve; NaN before it was first measured."""
    steps, values = _track(run, "log_d")
    at = np.log(_of(run, "step"))
    return np.interp(at, np.log(steps), values) if len(steps) else np.full(len(at), np.nan)


def _track(run: Run, column: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(steps, values) of a column from where it is measured."""
    track = np.array(run["track"], dtype=np.float64)
    values = track[:, run["track_columns"].index(column)]
    return track[values != 0.0, 0], values[values != 0.0]


def encoder_agreement(runs: Sequence[Run]) -> dict[str, Interval]:
    """Spearman's rho over a static run between log D by our encoder and by each other one, the ranks of the step taken
    out, averaged over runs."""
    static = [run for run in runs if run["arm"] == BASE]
    others = [name for name in static[0]["curve"][-1]["regimes"] if name != "ours"] if static else []
    result = {}
    for other in others:
        pairs = []
        for run in static:
            (steps, ours), (_, theirs) = (_track(run, f"log_d by {name}") for name in ("ours", other))
            pairs.append(_partial(ours, theirs, steps) if len(ours) == len(theirs) > 3 else math.nan)
        result[other] = rho_interval(pairs)
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
    seeds = {run["seed"] for run in runs}
    blocks = [
        _size_lines(stored),
        ["Mechanisms against the static recipe:", "", *_difference_table(runs, arms)],
        ["Mechanisms against the same with random thresholds:", "", *_random_table(runs, arms)],
        _correlation_table(runs),
        *_turn_tables(runs, arms),
        ["Conditions by FiLM alone and by attention alone, against both:", "", *_injection_table(runs)],
        ["The same, by what is given:", "", *_pathway_lines(runs)],
        _encoder_lines(stored["encoders"]),
        [_verdict_line(runs, arms, len(seeds))],
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _size_lines(stored: Mapping[str, Any]) -> list[str]:
    runs, plan, material = stored["runs"], stored["plan"], stored["material"]
    spent_s = sum(run["stack_seconds"] / run["stacked"] for run in runs)
    seeds = sorted({run["seed"] for run in runs})
    return [
        f"{len(runs)} runs of {len(arm_names(runs))} recipes and {len(seeds)} seeds on {stored['device']}: "
        f"{plan['steps']} steps of {plan['batch']} windows each, {runs[0]['parameters']:,} parameters, "
        f"{material['train_windows']} windows of {material['train_minutes']} minutes of voice, "
        f"{material['asked_windows']} held-out windows to judge by; {spent_s / 60:.1f} minutes of processor time for "
        f"training. Kernel distance of real to real: {runs[0]['real_to_real']:.4g}.",
    ]


def _verdict_line(runs: Sequence[Run], arms: Sequence[str], n_seeds: int) -> str:
    """How many differences are decided, beside how many chance alone would decide."""
    found = [difference(runs, arm, measure) for arm in arms if arm != BASE for measure in MEASURES]
    counts = {name: sum(one.verdict == name for one in found) for name in ("better", "worse", "undecided")}
    chance = (1.0 - CONFIDENCE) * len(found)
    return (
        f"Of {len(found)} differences from the static recipe over {n_seeds} seeds {counts['better']} are better, "
        f"{counts['worse']} worse, {counts['undecided']} undecided; chance alone would decide about {chance:.0f}."
    )


def _difference_table(runs: Sequence[Run], arms: Sequence[str]) -> list[str]:
    lines = _heads("arm")
    static = [np.mean([value(run) for run in runs if run["arm"] == BASE]) for _, value in MEASURES.values()]
    lines.append(f"| {BASE} | " + " | ".join(f"{value:.4g}" for value in static) + " |")
    for arm in arms:
        if arm != BASE:
            cells = [_cell(difference(runs, arm, measure)) for measure in MEASURES]
            lines.append(f"| {arm} | " + " | ".join(cells) + " |")
    return lines


def _heads(first: str) -> list[str]:
    heads = [label for label, _ in MEASURES.values()]
    return [f"| {first} | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]


def _random_table(runs: Sequence[Run], arms: Sequence[str]) -> list[str]:
    lines = _heads("arm")
    for arm in arms:
        if arm + RANDOM in arms:
            cells = [_cell(difference(runs, arm, measure, arm + RANDOM)) for measure in MEASURES]
            lines.append(f"| {arm} | " + " | ".join(cells) + " |")
    return lines


def _injection_table(runs: Sequence[Run]) -> list[str]:
    present = {run["arm"] for run in runs}
    lines = _heads("conditions")
    for arm in ("film", "attention"):
        if arm in present:
            lines.append(f"| {arm} alone | " + " | ".join(_cell(difference(runs, arm, m)) for m in MEASURES) + " |")
    if {"film", "attention"} <= present:
        cells = [_cell(difference(runs, "film", measure, "attention")) for measure in MEASURES]
        lines.append("| film against attention | " + " | ".join(cells) + " |")
    return lines


def _cell(found: Difference) -> str:
    interval = found.percent
    return f"{interval.value:+.1f} % [{interval.low:+.1f}, {interval.high:+.1f}] {found.verdict}"


def _correlation_table(runs: Sequence[Run]) -> list[str]:
    lines = ["| | against | Spearman's rho |", "|---|---|---|"]
    for what, table in (("regime", regime_correlations(runs)), ("log D", discrepancy_correlations(runs))):
        lines += [f"| {what} | {name} | {_defined(interval)} |" for name, interval in table.items()]
    return lines


def _defined(interval: Interval) -> str:
    return str(interval) if math.isfinite(interval.value) else "not defined: one side only follows the step, or stays"


def _turn_tables(runs: Sequence[Run], arms: Sequence[str]) -> list[list[str]]:
    agreement = encoder_agreement(runs)
    observers = ["| D measured by, on the static runs | its regime turns at step, a seed each | regime at the end "]
    observers[0] += "| slope at the end | rho of log D with ours, step taken out |"
    observers.append("|---|---|---|---|---|")
    static = [run for run in runs if run["arm"] == BASE]
    for name, steps in observer_turns(runs).items():
        end = mean_interval([run["curve"][-1]["regimes"][name] for run in static])
        slope = mean_interval([run["track"][-1][run["track_columns"].index(f"slope by {name}")] for run in static])
        rho = _defined(agreement[name]) if name in agreement else "1"
        observers.append(f"| {name} | {', '.join(_step(step) for step in steps)} | {end} | {slope} | {rho} |")
    own = ["| arm | its regime turns at step, a seed each | structure groups |", "|---|---|---|"]
    for arm in arms:
        mine = [run for run in runs if run["arm"] == arm]
        turns = ", ".join(_step(turning_step(run, "regime_used")) for run in mine)
        groups = ", ".join(_group_sizes(run["groups"]) for run in mine)
        own.append(f"| {arm} | {turns} | {groups} |")
    return [observers, own]


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
