"""The report of a stage-adaptive training study: `python -m synth.evaluate.stage_report RESULTS --out DIR`.

With `--into PAGE` the tables and pictures go into a document, between the lines that `marks` names.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from synth.atomic import write_atomically
from synth.errors import UserError
from synth.evaluate.stage_tables import markdown, read_results
from synth.evaluate.stage_words import summary


def marks(study: str) -> tuple[str, str]:
    """The lines of a page between which a study's report stands."""
    return f"<!-- {study}: begin -->", f"<!-- {study}: end -->"


def _text(stored: dict[str, Any]) -> str:
    return f"{summary(stored)}\n{markdown(stored)}"


def write_report(results: Path, folder: Path) -> None:
    """ablation.md and its plots, into `folder`. UserError without results or without matplotlib."""
    from synth.evaluate.stage_plots import draw_all  # matplotlib is of the evaluation extra

    stored = read_results(results)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "ablation.md", _text(stored).encode())
    draw_all(stored["runs"], folder)


def write_into(results: Path, page: Path, study: str = "stages") -> None:
    """Put the tables between the marks of a Markdown page, and the plots beside it. UserError without these."""
    from synth.evaluate.stage_plots import draw_all  # matplotlib is of the evaluation extra

    stored = read_results(results)
    text = page.read_text(encoding="utf-8")
    begin, end = marks(study)
    before, begun, rest = text.partition(begin)
    _, ended, after = rest.partition(end)
    if not begun or not ended:
        raise UserError(f"{page} has no place for the study.", remedy=f"Write the lines {begin} and {end} into it.")
    drawn = draw_all(stored["runs"], page.parent, study)
    pictures = "\n\n".join(f"![{label}]({name})" for name, label in drawn)
    write_atomically(page, f"{before}{begin}\n\n{_text(stored)}\n{pictures}\n\n{end}{after}".encode())


def main() -> None:
    """What synth.train.ablation wrote, as tables and plots."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="ablation.json of a study's run folder")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--out", type=Path, help="a folder")
    where.add_argument("--into", type=Path, help="a Markdown page")
    parser.add_argument("--study", default="stages", help="its name, in the page's marks and the pictures' names")
    arguments = parser.parse_args()
    if arguments.out:
        write_report(arguments.results, arguments.out)
    else:
        write_into(arguments.results, arguments.into, arguments.study)


if __name__ == "__main__":
    main()
