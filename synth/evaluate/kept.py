"""Results of parts as files, so that an evaluation that was ended goes on, and processes can share one."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from synth.atomic import write_atomically
from synth.evaluate.report import CUT, DONE, PartResult
from synth.evaluate.workbench import Workbench

_log = logging.getLogger(__name__)

PARTS_FOLDER = "parts"
_ABOUT = 0.9


def keep(folder: Path, result: PartResult) -> None:
    """Write one result; `folder` is the evaluation's."""
    path = folder / PARTS_FOLDER / f"{result.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(result.to_json(), indent=1, allow_nan=False) + "\n").encode())


def load(folder: Path, names: Sequence[str]) -> dict[str, PartResult]:
    """Name -> what was kept of it; files that are missing or not understood are passed over."""
    found = {}
    for name in names:
        path = folder / PARTS_FOLDER / f"{name}.json"
        try:
            found[name] = PartResult.from_json(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            continue
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as fault:
            _log.warning("%s is measured again: %s cannot be read (%s)", name, path, fault)
    return found


def usable(
    folder: Path, names: Sequence[str], bench: Workbench, wanted_s: Mapping[str, float]
) -> dict[str, PartResult]:
    """Of what was kept, that which would come out the same: of the same key, and done, or cut after about the time
    it is to have now (`wanted_s`, by name)."""
    return {
        name: result
        for name, result in load(folder, names).items()
        if result.key == bench.key
        and (result.outcome == DONE or (result.outcome == CUT and result.limit_s >= _ABOUT * wanted_s[name]))
    }
