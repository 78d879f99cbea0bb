"""Fuzzing the pack and preset readers by mutation: `python -m tests.fuzz.packs --cases 100000 --seed 7`.

Every case is a function of seed and number, so that a finding can be made again. What finds something is written to
--found; small ones are kept in tests/fixtures/packs/found and read again by every test run.
"""

from __future__ import annotations

import argparse
import hashlib
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.fuzz.mutation import Mutator
from tests.fuzz.oracle import Finding, judge_installation, judge_pack, judge_preset

FOUND = Path(__file__).parents[1] / "fixtures" / "packs" / "found"
MAX_MEMORY_KB = 500 << 10
PRESET_SHARE = 0.4
_BLOCK = 1000  # cases of one generator
_TELL_EVERY_S = 60.0


def fuzz(cases: int, seed: int, found: Path, folder: Path) -> tuple[Counter[str], int]:
    """Run `cases` -> how often each outcome was, and the number of findings written to `found`."""
    outcomes: Counter[str] = Counter()
    n_found, told_s = 0, time.monotonic()
    mutator = Mutator(seed)
    for number in range(cases):
        if number % _BLOCK == 0:
            mutator.random.seed(f"{seed}/{number}")
        is_preset = mutator.random.random() < PRESET_SHARE
        data = mutator.preset() if is_preset else mutator.pack()
        try:
            outcome = judge_preset(data) if is_preset else judge_pack(data)
            if outcome == "read" and not is_preset and mutator.random.random() < 0.01:
                with tempfile.TemporaryDirectory(dir=folder) as empty:
                    judge_installation(data, Path(empty))
                outcomes["installed"] += 1
        except Finding as finding:
            n_found += 1
            outcome = f"FOUND {finding}"[:100]
            _keep(data, is_preset, found, str(finding))
        outcomes["preset " + outcome if is_preset else outcome] += 1
        if time.monotonic() - told_s > _TELL_EVERY_S:
            told_s = time.monotonic()
            sys.stderr.write(f"{number + 1} of {cases}, {n_found} found\n")
    return outcomes, n_found


def _keep(data: bytes, is_preset: bool, found: Path, why: str) -> None:
    found.mkdir(parents=True, exist_ok=True)
    name = f"{hashlib.sha256(data).hexdigest()[:16]}.{'json' if is_preset else 'stridorpack'}"
    (found / name).write_bytes(data)
    sys.stderr.write(f"{found / name}: {why}\n")


def main() -> int:
    """Run, and tell what happened. -> exit status: 1 where something was found"""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--found", type=Path, default=FOUND)
    asked = parser.parse_args()
    started_s = time.process_time()
    with tempfile.TemporaryDirectory(prefix="stridor-fuzz-") as folder:
        outcomes, n_found = fuzz(asked.cases, asked.seed, asked.found, Path(folder))
    for outcome, count in outcomes.most_common():
        sys.stdout.write(f"{count:10d}  {outcome}\n")
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    spent_s = time.process_time() - started_s
    sys.stdout.write(f"{asked.cases} cases, {n_found} found, {spent_s:.0f} s, {peak_kb >> 10} MB at most\n")
    return 1 if n_found or peak_kb > MAX_MEMORY_KB else 0


if __name__ == "__main__":
    sys.exit(main())
