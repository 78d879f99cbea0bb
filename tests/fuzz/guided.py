"""Fuzzing guided by coverage, with the fuzz extra: `python -m tests.fuzz.guided pack|preset CORPUS [-runs=N]`."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Hand the readers to libFuzzer. Ends the process."""
    what, corpus, *settings = sys.argv[1:]
    atheris: Any = importlib.import_module("atheris")  # of the fuzz extra
    with atheris.instrument_imports(include=["app.store", "app.state"]):
        from tests.fuzz.mutation import Mutator  # imported here, so that what they import is instrumented
        from tests.fuzz.oracle import judge_pack, judge_preset

    folder = Path(corpus)
    folder.mkdir(parents=True, exist_ok=True)
    seeds = Mutator(1)
    for index, data in enumerate(seeds.packs if what == "pack" else seeds.presets):
        (folder / f"seed-{index}").write_bytes(data)
    judge = judge_pack if what == "pack" else judge_preset
    atheris.Setup([sys.argv[0], corpus, *settings], lambda data: judge(data) and None)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
