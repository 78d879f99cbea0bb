"""`stridor evaluate voice-in`: how well a voice is heard as it comes, and whether what it plays is sung alike."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from app.commands.command import command as stridor_command
from app.commands.evaluate.options import finish, with_corpus, with_output
from app.commands.terminal import ProgressLine, columns
from synth.errors import UserError

if TYPE_CHECKING:
    from app.state.passage import Passage
    from synth.corpus.manifest import Corpus
    from synth.evaluate.voice_in.report import VoiceInReport
    from synth.spec.controls import Float32Array

_KEPT: Final = ("whisper", "growl", "modal", "shout")  # what the collection has recordings of
_LEAST_PRESENT: Final = 10  # frames
_QUALITIES = click.Choice(["live", "draft", "final"])


@dataclass(frozen=True, slots=True)
class KeptTechnique:
    """One recording: what it was labelled, what the ears' classifier hears in it, and in what it played."""

    clip: str
    label: str
    in_recording: str
    in_render: str


@stridor_command("voice-in", example="stridor evaluate voice-in --corpus corpus --kept 12 -o voice-in.json")
@with_corpus()
@click.option("--clips", "n_clips", type=click.IntRange(min=1), default=60, show_default=True, help="Held-out clips.")
@click.option("--split", type=click.Choice(["test", "validation"]), default="test", show_default=True)
@click.option("--kept", "n_kept", type=click.IntRange(min=0), default=0, help="Render so many recordings' gestures.")
@click.option("--quality", type=_QUALITIES, default="draft", show_default=True, help="Of these renders.")
@with_output
def voice_in(
    corpus: Path, n_clips: int, split: Any, n_kept: int, quality: str, output: Path | None, as_json: bool
) -> None:
    """Pitch by Praat, SwiftF0 and known voices; lanes, techniques and presence by the ears; processor time.

    With --kept, what recordings would play live is rendered and classified: is a whisper a whisper still?
    """
    from synth.corpus.manifest import Corpus
    from synth.evaluate.voice_in.report import judge_listening

    opened = Corpus.open(corpus)
    with ProgressLine("Listening", quiet=as_json) as line:
        report = judge_listening(opened, split, n_clips, on_progress=line.update)
    kept = _kept(opened, split, n_kept, quality, quiet=as_json) if n_kept else []
    result = report.to_json() | {"split": split, "kept": [asdict(each) for each in kept]}
    finish(_Result(result), [*_lines(report), *_kept_lines(kept)], output, as_json=as_json)


@dataclass(frozen=True, slots=True)
class _Result:
    values: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        return self.values


def guided_passage(audio: Float32Array, rate_hz: float) -> Passage:
    """What a recording [n] would play live with the neutral preset, as a passage. Raises UserError where nothing."""
    from app.live.performance.commands import StartVoice
    from app.live.performance.performance import Performance
    from app.live.stage.messages import Played
    from app.live.voice_in.gestures import GestureMaker
    from app.services.recording import PassageRecorder
    from app.state.controller_profile import default_profile
    from app.state.preset import NEUTRAL_PRESET
    from synth.evaluate.voice_in.material import listen
    from synth.listening.heard import HOP_S

    heard, _ = listen(audio, rate_hz)
    maker, performance = GestureMaker(), Performance(default_profile("voice in"), NEUTRAL_PRESET)
    recorder = PassageRecorder(0.0)
    for hop in heard:
        for gesture in maker.take(hop, hop.end_s):
            commands = performance.feed(gesture)
            for command in commands:
                if isinstance(command, StartVoice):
                    performance.sounded(command.voice, hop.end_s)
            recorder.hear(Played(tuple(commands), preset_id=NEUTRAL_PRESET.id))
        recorder.hear(Played(tuple(performance.advance(hop.end_s)), preset_id=NEUTRAL_PRESET.id))
    return recorder.passage(heard[-1].end_s + HOP_S if heard else 0.0)


def _kept(corpus: Corpus, split: Any, n_kept: int, quality: str, *, quiet: bool) -> list[KeptTechnique]:
    """Recordings of each technique in turn, played and rendered."""
    from app.render.offline import OfflineRenderer
    from app.state.preset import NEUTRAL_PRESET
    from synth.evaluate.voice_in.material import LONGEST_S, chosen_records
    from synth.spec.audio import SAMPLE_RATE_HZ

    records = [
        record
        for record in chosen_records(corpus, split, 10_000, 0)
        if record.kind == "real" and max(record.technique, key=lambda name: record.technique[name]) in _KEPT
    ][:n_kept]
    renderer = OfflineRenderer(device="cpu", n_threads=1)
    found: list[KeptTechnique] = []
    with ProgressLine("Singing again", quiet=quiet) as line:
        for index, record in enumerate(records):
            audio = corpus.load(record).audio[: round(LONGEST_S * SAMPLE_RATE_HZ)]
            try:
                passage = guided_passage(audio, SAMPLE_RATE_HZ)
            except UserError:
                in_render = "nothing"
            else:
                mix, _ = renderer.to_array(passage, quality=quality, presets={NEUTRAL_PRESET.id: NEUTRAL_PRESET})
                in_render = _classified(mix.mean(axis=1))
            label = max(record.technique, key=lambda name: record.technique[name])
            found.append(KeptTechnique(record.id, label, _classified(audio), in_render))
            line.update(index + 1, len(records))
    return found


def _classified(audio: Float32Array) -> str:
    """The technique that the ears' classifier hears most where somebody sings; "nothing" where nobody does."""
    import numpy as np

    from synth.features.analysis import analyse
    from synth.features.technique import load_technique_classifier
    from synth.spec.lanes import TECHNIQUES

    analysis = analyse(np.ascontiguousarray(audio, dtype=np.float32), technique_classifier=load_technique_classifier())
    present = analysis.lanes["presence"] > 0.5
    if present.sum() < _LEAST_PRESENT:
        return "nothing"
    return max(TECHNIQUES, key=lambda name: float(analysis.lanes[f"technique.{name}"][present].mean()))


def _lines(report: VoiceInReport) -> list[str]:
    pitch = [
        [
            each.material, each.judge, str(each.n_clips), _ms(each.delay_s), _ms(each.delay_p95_s),
            f"{each.median_cents:.1f}", f"{each.gross_percent:.1f} %", f"{each.octave_percent:.1f} %",
            f"{each.heard_percent:.0f} %",
        ]
        for each in report.pitch
    ]  # fmt: skip
    lanes = [
        [kind, each.lane, _ms(each.delay_s), f"{each.rank_correlation:.2f}", f"{each.mean_error:.3f}",
         f"{each.mean_absolute_error:.3f}", str(each.n_hops)]
        for kind, found in report.lanes.items()
        for each in found
    ]  # fmt: skip
    techniques = [
        [
            kind,
            each.name,
            str(each.n_clips),
            f"{100.0 * each.share:.0f} %",
            _ms(each.after_s),
            f"{100.0 * each.ears_share:.0f} %",
            f"{100.0 * each.alike_share:.0f} %",
        ]
        for kind, found in report.techniques.items()
        for each in found
    ]
    return [
        "Pitch above 100 Hz, against judges that look ahead:",
        *columns(
            pitch, header=["material", "judge", "clips", "late", "p95", "cents", "> 50 cents", "> 600 cents", "heard"]
        ),
        "",
        "Glides of known pitch, octaves a second: "
        + ", ".join(f"{speed}: {_ms(delay_s)}" for speed, delay_s in report.glide_delays_s.items()),
        f"Steps of known pitch: {_ms(report.steps['median'])} (p95 {_ms(report.steps['p95'])})",
        "",
        *columns(lanes, header=["material", "lane", "late", "Spearman", "mean error", "mean |error|", "n"]),
        "",
        *columns(techniques, header=["material", "technique", "clips", "first", "after", "by the ears", "alike"]),
        "",
        f"Presence: {_ms(report.presence_s['median'])} after the ears' (p95 {_ms(report.presence_s['p95'])})",
        f"Processor: {100.0 * report.processor_share:.1f} % of a core",
    ]


def _kept_lines(kept: list[KeptTechnique]) -> list[str]:
    if not kept:
        return []
    rows = [[each.clip, each.label, each.in_recording, each.in_render] for each in kept]
    alike = sum(each.in_render == each.in_recording for each in kept)
    labelled = sum(each.in_render == each.label for each in kept)
    return [
        "",
        *columns(rows, header=["recording", "label", "heard in it", "heard in what it played"]),
        f"{alike} of {len(kept)} are heard as the recording is, {labelled} as it is labelled.",
    ]


def _ms(seconds: float) -> str:
    return "-" if math.isnan(seconds) else f"{1000.0 * seconds:.0f} ms"
