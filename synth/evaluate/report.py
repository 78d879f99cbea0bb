"""The whole evaluation: parts chosen, sized and boxed in time; one that fails says why, and the others go on.

What a part found becomes plain data at once: its numbers, its verdicts and its section of the page. So a part that ran
yesterday, or in another process, stands in a report like one that ran just now.
"""

from __future__ import annotations

import logging
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import torch

from synth.errors import UserError
from synth.evaluate.parts import PARTS
from synth.evaluate.report_form import plain
from synth.evaluate.targets import verdicts_of
from synth.evaluate.timebox import Progress, TimeBox
from synth.evaluate.verdict import Verdict
from synth.evaluate.views import blocks_of
from synth.evaluate.workbench import SING_AGAIN_MINUTES, Workbench

_log = logging.getLogger(__name__)

DONE, CUT, NOT_RUN = "done", "cut short by its time box", "not run"


@dataclass(frozen=True, slots=True)
class PartResult:
    """Plain data.

    outcome   DONE, CUT or NOT_RUN, with the reason; limit_s: of its time box
    key       the workbench's: what the numbers depend on
    report    what the part returned, in JSON's own types; None when not run
    html      its section's body
    """

    name: str
    title: str
    outcome: str
    reason: str
    seconds: float
    limit_s: float
    date: str
    key: str
    report: Any
    verdicts: tuple[Verdict, ...]
    html: str

    def to_json(self) -> dict[str, Any]:
        """Everything, the page's section too."""
        return plain(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> PartResult:
        """What to_json gave. Raises TypeError or KeyError for anything else."""
        return cls(**{**stored, "verdicts": tuple(Verdict(**verdict) for verdict in stored["verdicts"])})


@dataclass(frozen=True, slots=True)
class Report:
    """Everything, and where it comes from."""

    command: str
    date: str
    machine: str
    weights_hash: str
    quality: str
    device: str
    sizes: Mapping[str, Any]
    parts: tuple[PartResult, ...] = field(default_factory=tuple)

    def part(self, name: str) -> Any:
        """What a part returned, in JSON's own types; None where it has not run."""
        return next((result.report for result in self.parts if result.name == name), None)

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """Every figure; a lane's with what the ears themselves give on known lanes."""
        ears = {lane["lane_id"]: lane for lane in (self.part("ears") or {}).get("lanes", ())}
        found = []
        for verdict in (verdict for part in self.parts for verdict in part.verdicts):
            known = ears.get(verdict.what.removeprefix("lane "))
            if known is not None and verdict.what.startswith("lane ") and known["rho"]["value"] is not None:
                rho = known["rho"]
                words = f"rho {rho['value']:.2g}, slope {known['slope']:.2g} on the simulator, n {rho['n']}"
                verdict = replace(verdict, judges=words)
            found.append(verdict)
        return tuple(found)


Notice = Callable[[str, int, int, float], None]


def blank_report(bench: Workbench, command: str) -> Report:
    """A report without parts."""
    engine = bench.singer.engine
    return Report(
        command=command,
        date=_now(),
        machine=machine_words(),
        weights_hash=engine.weights_hash,
        quality=bench.singer.quality,
        device=engine.device_name,
        sizes=plain(asdict(bench.sizes)),
    )


def check_names(names: Sequence[str]) -> None:
    """Raises UserError for an unknown name."""
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        raise UserError(f"There is no part called {', '.join(unknown)}.", remedy=f"Use {', '.join(PARTS)}.")


def run_parts(
    bench: Workbench,
    names: Sequence[str],
    *,
    limit_s: float | None = None,
    kept: Mapping[str, PartResult] | None = None,
    on_result: Callable[[PartResult], None] | None = None,
    on_progress: Notice | None = None,
) -> list[PartResult]:
    """Run the parts in turn.

    limit_s      for all of them together: what one leaves over, the later ones share. None: each its own box
    kept         results of an earlier run that need not be measured again
    on_result    told every result, so that an interrupted run leaves what it has
    on_progress  (title of the part, its number, how many parts, share of it that is done 0..1)
    Raises UserError for an unknown name.
    """
    check_names(names)
    results: list[PartResult] = []
    kept = kept or {}
    started_s = time.monotonic()
    for number, name in enumerate(names):

        def told(done: float, total: float, number: int = number, name: str = name) -> None:
            if on_progress is not None:
                on_progress(PARTS[name].title, number, len(names), done / max(total, 1e-9))

        told(0.0, 1.0)
        if name in kept:
            results.append(kept[name])
            continue
        left = [later for later in names[number:] if later not in kept]
        left_s = None if limit_s is None else limit_s - (time.monotonic() - started_s)
        results.append(_run_part(bench, name, _box(bench, left, left_s), told))
        if on_result is not None:
            on_result(results[-1])
    return results


def minutes_of(names: Sequence[str], bench: Workbench | None = None) -> float:
    """What the parts may take at full size, with the singing that some wait for."""
    waits = any(PARTS[name].sings_again for name in names) and not (bench is not None and bench.has_sung_again)
    return sum(PARTS[name].minutes for name in names) + SING_AGAIN_MINUTES * waits


def _box(bench: Workbench, left: Sequence[str], left_s: float | None) -> float:
    """Seconds for the first of the parts that are left, of the seconds that are left."""
    part = PARTS[left[0]]
    scale_s = 60.0 * bench.sizes.minutes
    if left_s is not None:
        scale_s = max(left_s, 0.0) / max(minutes_of(left, bench), 1e-9)
    bench.sing_again_s = SING_AGAIN_MINUTES * scale_s
    return part.minutes * scale_s


def _run_part(bench: Workbench, name: str, limit_s: float, on_progress: Progress) -> PartResult:
    part = PARTS[name]
    started_s = time.monotonic()
    report: Any = None
    html = ""
    verdicts: tuple[Verdict, ...] = ()
    try:
        if part.sings_again:
            _ = bench.resung  # before its box begins: the singing has one of its own
        box = TimeBox(limit_s)
        report = part.run(bench, box, on_progress)
        outcome, reason = (CUT, f"after {limit_s:.0f} s") if box.was_cut else (DONE, "")
        verdicts = verdicts_of(name, report)
        html = "\n".join(block.html() for block in blocks_of(name, report))
    except UserError as fault:
        outcome, reason = NOT_RUN, str(fault)
    except Exception as fault:  # a part's own edge: an hour of other measures must not be lost to it
        _log.exception("part %s failed", name)
        outcome, reason, report = NOT_RUN, f"a mistake of ours: {type(fault).__name__}: {fault}", None
    return PartResult(
        name=name,
        title=part.title,
        outcome=outcome,
        reason=reason,
        seconds=time.monotonic() - started_s,
        limit_s=limit_s,
        date=_now(),
        key=bench.key,
        report=plain(report.to_json() if hasattr(report, "to_json") else report),
        verdicts=verdicts_of(name, None) if report is None else verdicts,
        html=html,
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def machine_words() -> str:
    """Processor, cores, torch: what speed and last digits depend on."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return (
        f"{platform.system()} {platform.machine()}, {torch.get_num_threads()} threads, {device}, "
        f"Python {platform.python_version()}, torch {torch.__version__}"
    )
