"""The report of a stage-adaptive training study: `python -m synth.evaluate.stage_report RESULTS --out DIR`."""

from __future__ import annotations

import argparse
from pathlib import Path

from synth.corpus.clip_file import write_atomically
from synth.evaluate.stage_tables import markdown, read_results


def write_report(results: Path, folder: Path) -> None:
    """ablation.md and its plots, into `folder`. UserError without results or without matplotlib."""
    from synth.evaluate.stage_plots import draw_all  # matplotlib is of the evaluation extra

    stored = read_results(results)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "ablation.md", markdown(stored).encode())
    draw_all(stored["runs"], folder)


def main() -> None:
    """What synth.train.ablation wrote, as tables and plots."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, help="ablation.json of a study's run folder")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    write_report(arguments.results, arguments.out)


if __name__ == "__main__":
    main()
