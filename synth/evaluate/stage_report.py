"""The report of a stage-adaptive training study: `python -m synth.evaluate.stage_report RESULTS --out DIR`.

With `--into PAGE` the tables and pictures go into a document, between the lines BEGIN and END.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from synth.corpus.clip_file import write_atomically
from synth.errors import UserError
from synth.evaluate.stage_tables import markdown, read_results
from synth.evaluate.stage_words import summary

BEGIN, END = "<!-- study: begin -->", "<!-- study: end -->"


def _text(stored: dict[str, Any]) -> str:
    return f"{summary(stored)}\n{markdown(stored)}"


def write_report(results: Path, folder: Path) -> None:
    """ablation.md and its plots, into `folder`. UserError without results or without matplotlib."""
    from synth.evaluate.stage_plots import draw_all  # matplotlib is of the evaluation extra

    stored = read_results(results)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "ablation.md", _text(stored).encode())
    draw_all(stored["runs"], folder)


def write_into(results: Path, page: Path) -> None:
    """Put the tables between BEGIN and END of a Markdown page, and the plots beside it. UserError without these."""
    from synth.evaluate.stage_plots import PICTURES, draw_all  # matplotlib is of the evaluation extra

    stored = read_results(results)
    text = page.read_text(encoding="utf-8")
    before, begun, rest = text.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not begun or not ended:
        raise UserError(f"{page} has no place for the study.", remedy=f"Write the lines {BEGIN} and {END} into it.")
    draw_all(stored["runs"], page.parent)
    pictures = "\n\n".join(f"![{label}]({name})" for name, label in PICTURES.items())
    write_atomically(page, f"{before}{BEGIN}\n\n{_text(stored)}\n{pictures}\n\n{END}{after}".encode())


def main() -> None:
    """What synth.train.ablation wrote, as tables and plots."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="ablation.json of a study's run folder")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--out", type=Path, help="a folder")
    where.add_argument("--into", type=Path, help="a Markdown page")
    arguments = parser.parse_args()
    if arguments.out:
        write_report(arguments.results, arguments.out)
    else:
        write_into(arguments.results, arguments.into)


if __name__ == "__main__":
    main()
