"""What the stage-adaptive training study says, in sentences made from its figures and from nothing else."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from synth.evaluate.stage_tables import (
    BASE,
    MEASURES,
    RANDOM,
    Run,
    arm_names,
    difference,
    encoder_agreement,
    regime_correlations,
    turning_step,
)

_FEWEST_SEEDS = 5
_MECHANISMS = ("guidance", "levels", "structure", "all three")


def summary(stored: Mapping[str, Any]) -> str:
    """A Markdown list."""
    runs: Sequence[Run] = stored["runs"]
    lines = [
        *_caution(runs, int(stored["seeds"])),
        *_mechanisms(runs),
        *_encoder(runs),
        *_injection(runs),
        _regime(runs),
    ]
    return "\n".join(f"- {line}" for line in lines) + "\n"


def _caution(runs: Sequence[Run], planned: int) -> list[str]:
    """Which arms have fewer seeds than were planned, or than a verdict should rest on."""
    counts = {arm: len({run["seed"] for run in runs if run["arm"] == arm}) for arm in arm_names(runs)}
    few = {arm: n for arm, n in counts.items() if n < max(planned, _FEWEST_SEEDS)}
    if not few:
        return []
    listed = ", ".join(f"{arm} {n}" for arm, n in few.items())
    return [f"**Not complete**: {planned} seeds were planned, and so far there are: {listed}."]


def _mechanisms(runs: Sequence[Run]) -> list[str]:
    present = arm_names(runs)
    lines = []
    for arm in _MECHANISMS:
        if arm not in present:
            continue
        text = f"**{arm}** against the static recipe: {verdicts(runs, arm, BASE)}"
        if arm + RANDOM in present:
            text += f"; against itself at random thresholds: {verdicts(runs, arm, arm + RANDOM)}"
        lines.append(text + ".")
    return lines


def verdicts(runs: Sequence[Run], arm: str, base: str) -> str:
    """Which measures are decided, and how: "better in ...; worse in ...; undecided in the other ..."."""
    found = [difference(runs, arm, measure, base) for measure in MEASURES]
    parts = []
    for verdict in ("better", "worse"):
        named = [f"{MEASURES[one.measure][0]} ({one.percent.value:+.1f} %)" for one in found if one.verdict == verdict]
        if named:
            parts.append(f"{verdict} in {', '.join(named)}")
    n_open = sum(one.verdict == "undecided" for one in found)
    if n_open == len(found):
        return "undecided in all measures"
    return "; ".join([*parts, *([f"undecided in {n_open} more"] if n_open else [])])


def _encoder(runs: Sequence[Run]) -> list[str]:
    lines = []
    agreement = encoder_agreement(runs)
    if agreement:
        rhos = ", ".join(f"{name} {interval}" for name, interval in agreement.items())
        lines.append(f"**The encoder**: log D by ours and by others go together, the step taken out, with rho: {rhos}.")
    for arm in arm_names(runs):
        if arm.startswith("all, "):
            lines.append(
                f"All three by **{arm.removeprefix('all, ')}** against by ours: {verdicts(runs, arm, 'all three')}."
            )
    return lines


def _injection(runs: Sequence[Run]) -> list[str]:
    present = arm_names(runs)
    if not {"film", "attention"} <= set(present):
        return []
    return [f"**FiLM** alone against **attention** alone: {verdicts(runs, 'film', 'attention')}."]


def _regime(runs: Sequence[Run]) -> str:
    steered = [run for run in runs if run["thresholds"] == "adaptive" and run["injection"] == "both"]
    turned = [turning_step(run, "regime_used") for run in steered]
    n_turned = sum(math.isfinite(step) for step in turned)
    text = f"**The regime** passed one half in {n_turned} of {len(steered)} runs in which it was measured"
    if n_turned < len(steered):
        text += "; where it does not turn, a mechanism stays as it began, and its random ramp is what moves"
    rho = regime_correlations(runs)["fall of v_loss that follows, step taken out"]
    if math.isfinite(rho.value):
        text += f". With the fall of the error that follows it goes with rho {rho}, the step taken out"
    return text + "."
