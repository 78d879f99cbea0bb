"""What listeners answered: screening, means with intervals, paired tests.

Screening is that of ITU-R BS.1534-3, section 4.1.2: a listener who gives the hidden reference less than 90, or the
mid anchor more than 90, in more than 15 % of the trials is left out of the ratings. Nobody is left out of the pairs.
Intervals resample listeners and recordings both (Owen 2007), as both are samples.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from synth.errors import UserError
from synth.evaluate.clusters import crossed_mean_interval
from synth.evaluate.listening import KEY_FORMAT, KEY_REVISION
from synth.evaluate.listening_material import MID_ANCHOR, REFERENCE
from synth.evaluate.report_form import aligned, plain
from synth.evaluate.statistics import Interval

Float64Array = NDArray[np.float64]

ANSWERS_FORMAT: Final = "stridor-listening-results"
ANSWERS_REVISION: Final = 1
_REFERENCE_LEAST, _MID_ANCHOR_MOST, _MOST_FAILED = 90.0, 90.0, 0.15
_LEAST_PAIRS, _EXACT_PAIRS = 6, 14  # with fewer listeners than the least, recordings are the pairs
_SAME = "same"


@dataclass(frozen=True, slots=True)
class Screening:
    """One listener. Shares 0..1 of their rated trials; is_kept: whether their ratings count."""

    listener: str
    n_rated: int
    reference_failed: float
    mid_anchor_failed: float
    is_kept: bool


@dataclass(frozen=True, slots=True)
class ConditionScore:
    """Mean score 0..100 of one condition over the kept listeners; n of the interval counts listeners."""

    condition: str
    score: Interval


@dataclass(frozen=True, slots=True)
class PairedTest:
    """Difference of two conditions' scores, a - b, paired by listener and recording.

    unit    what is paired in the sign-flip test: "listeners", or "recordings" where there are too few listeners
    p_holm  its p, corrected for all pairs of conditions (Holm 1979); NaN where there are too few pairs
    """

    a: str
    b: str
    difference: Interval
    unit: str
    p_holm: float


@dataclass(frozen=True, slots=True)
class PairResult:
    """Pairs of one kind and two conditions.

    preference  wins: for a; losses: for b; ties: no difference
    abx         wins: right answers; losses: wrong ones
    share       wins + half the ties, of all; p: two-sided (abx: one-sided) binomial test of wins against losses
    """

    kind: str
    a: str
    b: str
    wins: int
    losses: int
    ties: int
    share: Interval
    p: float


@dataclass(frozen=True, slots=True)
class ListeningReport:
    """Everything that the answers say."""

    test: str
    weights_hash: str
    listeners: tuple[Screening, ...]
    scores: tuple[ConditionScore, ...]
    tests: tuple[PairedTest, ...]
    pairs: tuple[PairResult, ...]
    comments: tuple[tuple[str, str, str], ...]

    def to_json(self) -> dict[str, Any]:
        """Plain types only."""
        return plain(self)

    def lines(self) -> list[str]:
        """For a person."""
        kept = [listener for listener in self.listeners if listener.is_kept]
        dropped = [listener.listener for listener in self.listeners if not listener.is_kept]
        scores = [[found.condition, str(found.score)] for found in self.scores]
        tests = [
            [f"{found.a} - {found.b}", str(found.difference), "-" if np.isnan(found.p_holm) else f"{found.p_holm:.2g}"]
            for found in self.tests
        ]
        pairs = [
            [
                f"{one.kind}: {one.a}, {one.b}",
                f"{one.wins} : {one.losses}",
                str(one.ties),
                str(one.share),
                f"{one.p:.2g}",
            ]
            for one in self.pairs
        ]
        unit = self.tests[0].unit if self.tests else "listeners"
        return [
            f"{len(kept)} of {len(self.listeners)} listeners kept"
            + (f"; screened out: {', '.join(dropped)}" if dropped else ""),
            *_table_lines(["condition", "score 0-100"], scores),
            *_table_lines(["difference", "points", f"p (Holm, {unit})"], tests),
            *_table_lines(["pairs", "wins : losses", "ties", "share", "p"], pairs),
            *[f"{listener}, {recording}: {words}" for listener, recording, words in self.comments],
        ]


def _table_lines(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return ["", *aligned(header, rows)] if rows else []


def analyse_answers(paths: Sequence[Path], key_path: Path) -> ListeningReport:
    """Answers that came back (JSON files, or folders of them) with the key of their test. Raises UserError for files of
    another test or format, two files of one listener, or none."""
    key = _read_key(key_path)
    answers = [_read_answers(path, key) for path in _files(paths)]
    names = [found["listener"] for found in answers]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"There are two files of {', '.join(twice)}.", remedy="Keep the later one of each.")
    if not answers:
        raise UserError("There are no answers to analyse.", remedy="Name the JSON files that listeners sent back.")
    rated = [_ratings(found, key) for found in answers]
    screening = [_screened(name, found) for name, found in zip(names, rated)]
    kept = [found for found, who in zip(rated, screening) if who.is_kept]
    comments = [
        (found["listener"], key["trials"][answer["trial"]]["recording"], answer["comment"].strip())
        for found in answers
        for answer in found["answers"]
        if answer["comment"].strip()
    ]
    return ListeningReport(
        key["test"],
        key["weights_hash"],
        tuple(screening),
        _scores(kept),
        _paired_tests(kept),
        _pairs(answers, key),
        tuple(comments),
    )


# ---- reading


def _files(paths: Sequence[Path]) -> list[Path]:
    return [file for path in paths for file in (sorted(path.glob("*.json")) if path.is_dir() else [path])]


def _read_json(path: Path, remedy: str) -> dict[str, Any]:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise UserError(f"{path} cannot be read.", remedy=remedy) from fault
    if not isinstance(stored, dict):
        raise UserError(f"{path} is not what it should be.", remedy=remedy)
    return stored


def _read_key(path: Path) -> dict[str, Any]:
    remedy = "Name the key.json that was written beside the page."
    key = _read_json(path, remedy)
    if key.get("format") != KEY_FORMAT or key.get("revision") != KEY_REVISION:
        raise UserError(f"{path} is not the key of a listening test.", remedy=remedy)
    return key


def _read_answers(path: Path, key: Mapping[str, Any]) -> dict[str, Any]:
    remedy = "Ask the listener for the file that the page saves."
    found = _read_json(path, remedy)
    if found.get("format") != ANSWERS_FORMAT or found.get("revision") != ANSWERS_REVISION:
        raise UserError(f"{path} is not a listener's answers.", remedy=remedy)
    if found.get("test") != key["test"]:
        raise UserError(f"{path} answers another test than this key's.", remedy="Name the key of that test.")
    for answer in found.get("answers", []):
        trial = key["trials"].get(answer.get("trial"))
        if trial is None or set(answer.get("slots", [])) != set(trial["stimuli"]) or answer["kind"] != trial["kind"]:
            raise UserError(f"{path} has answers that do not fit the test.", remedy=remedy)
        if not all(score is None or 0 <= score <= 100 for score in answer.get("scores", {}).values()):
            raise UserError(f"{path} has a score beyond 0-100.", remedy=remedy)
    return found


def _ratings(found: Mapping[str, Any], key: Mapping[str, Any]) -> dict[tuple[str, str], float]:
    """(recording, condition) -> score, of the trials that count and were answered in full."""
    ratings = {}
    for answer in found["answers"]:
        trial = key["trials"][answer["trial"]]
        if trial["kind"] != "rating" or trial["practice"] or None in answer["scores"].values():
            continue
        for stimulus, score in answer["scores"].items():
            ratings[trial["recording"], trial["stimuli"][stimulus]] = float(score)
    return ratings


# ---- ratings


def _screened(listener: str, ratings: Mapping[tuple[str, str], float]) -> Screening:
    reference = [score for (_, condition), score in ratings.items() if condition == REFERENCE]
    mid = [score for (_, condition), score in ratings.items() if condition == MID_ANCHOR]
    low_reference = float(np.mean([score < _REFERENCE_LEAST for score in reference])) if reference else float("nan")
    high_mid = float(np.mean([score > _MID_ANCHOR_MOST for score in mid])) if mid else 0.0
    is_kept = bool(reference) and low_reference <= _MOST_FAILED and high_mid <= _MOST_FAILED
    return Screening(listener, len(reference), low_reference, high_mid, is_kept)


def _table(kept: Sequence[Mapping[tuple[str, str], float]], condition: str, less: str | None = None) -> Float64Array:
    """Scores of a condition, or its difference to another -> [n_listeners, n_recordings], NaN where not rated."""
    recordings = sorted({recording for ratings in kept for recording, _ in ratings})
    table = np.full((len(kept), len(recordings)), np.nan)
    for row, ratings in enumerate(kept):
        for column, recording in enumerate(recordings):
            table[row, column] = ratings.get((recording, condition), np.nan)
            if less is not None:
                table[row, column] -= ratings.get((recording, less), np.nan)
    return table


def _conditions(kept: Sequence[Mapping[tuple[str, str], float]]) -> list[str]:
    return sorted({condition for ratings in kept for _, condition in ratings})


def _scores(kept: Sequence[Mapping[tuple[str, str], float]]) -> tuple[ConditionScore, ...]:
    found = [ConditionScore(name, crossed_mean_interval(_table(kept, name))) for name in _conditions(kept)]
    return tuple(sorted(found, key=lambda score: -score.score.value))


def _paired_tests(kept: Sequence[Mapping[tuple[str, str], float]]) -> tuple[PairedTest, ...]:
    by_listener = len(kept) >= _LEAST_PAIRS
    found = []
    for a, b in combinations(_conditions(kept), 2):
        table = _table(kept, a, less=b)
        known = np.isfinite(table)
        axis = 1 if by_listener else 0
        counts = known.sum(axis=axis)
        means = np.nan_to_num(table).sum(axis=axis)[counts > 0] / counts[counts > 0]
        found.append((a, b, crossed_mean_interval(table), _sign_flip(means)))
    corrected = _holm([p for *_, p in found])
    unit = "listeners" if by_listener else "recordings"
    return tuple(PairedTest(a, b, interval, unit, p) for (a, b, interval, _), p in zip(found, corrected))


def _sign_flip(differences: Float64Array) -> float:
    """Two-sided p that paired differences [n] have mean 0, by flipping their signs (Pitman 1937): exact up to
    _EXACT_PAIRS pairs, else by 20,000 draws; NaN for fewer than _LEAST_PAIRS, which cannot reach 0.05."""
    n = len(differences)
    if n < _LEAST_PAIRS:
        return float("nan")
    if n <= _EXACT_PAIRS:
        patterns = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    else:
        patterns = np.random.default_rng(0).integers(0, 2, size=(20_000, n))
        patterns[0] = 1  # what was observed is one of the possible
    sums = np.abs((2.0 * patterns - 1.0) @ differences)
    return float(np.mean(sums >= abs(differences.sum()) - 1e-9))


def _holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction; NaN stays NaN and is not counted."""
    corrected = [float("nan")] * len(p_values)
    order = sorted((index for index, p in enumerate(p_values) if np.isfinite(p)), key=lambda index: p_values[index])
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, p_values[index] * (len(order) - rank)))
        corrected[index] = highest
    return corrected


# ---- pairs


def _pairs(answers: Sequence[Mapping[str, Any]], key: Mapping[str, Any]) -> tuple[PairResult, ...]:
    """Every kind and pair of conditions: points 1, 0.5 or 0 for a (abx: for being right) by listener and recording."""
    points: dict[tuple[str, str, str], dict[tuple[str, str], float]] = {}
    for found in answers:
        for answer in found["answers"]:
            trial = key["trials"][answer["trial"]]
            if trial["kind"] == "rating" or answer["choice"] is None:
                continue
            a, b = sorted(trial["stimuli"].values())
            if trial["kind"] == "abx":
                point = float(answer["choice"] == answer["x"])
            else:
                point = 0.5 if answer["choice"] == _SAME else float(trial["stimuli"][answer["choice"]] == a)
            points.setdefault((trial["kind"], a, b), {})[found["listener"], trial["recording"]] = point
    return tuple(_pair_result(*what, given) for what, given in sorted(points.items()))


def _pair_result(kind: str, a: str, b: str, given: Mapping[tuple[str, str], float]) -> PairResult:
    listeners, recordings = (sorted({place[side] for place in given}) for side in (0, 1))
    table = np.array([[given.get((who, what), np.nan) for what in recordings] for who in listeners])
    values = list(given.values())
    wins, losses = values.count(1.0), values.count(0.0)
    alternative = "greater" if kind == "abx" else "two-sided"
    p = float(binomtest(wins, wins + losses, alternative=alternative).pvalue) if wins + losses else float("nan")
    return PairResult(kind, a, b, wins, losses, values.count(0.5), crossed_mean_interval(table), p)
