"""A recording becomes a passage: the lanes that were measured in it, drawn, and the notes that were heard.

Also run by the sampler process, for the window's *Open recording*.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from app.render.files import read_audio
from app.state.passage import Lane, Note, Passage, Voice, lane_range
from synth.spec import SAMPLE_RATE_HZ, Float32Array

# A note's loudness only matters where the loudness lane is erased: 12 dB between velocities 0 and 127 around 96.
_VELOCITY_AT_DEFAULT = 96
_DEFAULT_LOUDNESS_DB = -24.0
_VELOCITY_PER_DB = 127.0 / 12.0


def passage_from_recording(path: Path) -> Passage:
    """Measure a recording of any format libsndfile knows -> a passage of one voice. Raises UserError."""
    return passage_from_audio(read_audio(path), name=path.stem)


def passage_from_audio(audio_mono: Float32Array, *, name: str) -> Passage:
    """The passage that sings mono audio [n_samples] at 48 kHz again; its one voice is called `name`."""
    from synth.features.analysis import analyse  # loads the pitch tracker, which the window's process never needs
    from synth.features.extract import controls_from_analysis, drawn_lanes, notes_from_f0
    from synth.features.technique import load_technique_classifier

    analysis = analyse(audio_mono, technique_classifier=load_technique_classifier())
    duration_s = max(len(audio_mono) / SAMPLE_RATE_HZ, 0.01)
    controls = {
        lane_id: np.clip(values, *lane_range(lane_id)) for lane_id, values in controls_from_analysis(analysis).items()
    }
    lanes = {
        lane_id: Lane(tuple((t_s, value) for t_s, value in points if t_s <= duration_s))
        for lane_id, points in drawn_lanes(controls).items()
    }
    notes = []
    for heard in notes_from_f0(analysis.f0, analysis.physical["loudness_db"]):
        low, high = lane_range("pitch")
        start_s = min(heard.start_s, duration_s)
        velocity = _VELOCITY_AT_DEFAULT + (heard.loudness_db - _DEFAULT_LOUDNESS_DB) * _VELOCITY_PER_DB
        notes.append(
            Note(
                start_s,
                min(heard.duration_s, duration_s - start_s),
                float(np.clip(heard.note, low, high)),
                velocity=round(float(np.clip(velocity, 1, 127))),
            )
        )
    voice = Voice(name=name or "Voice 1", notes=tuple(notes), lanes=lanes)
    return Passage(duration_s=duration_s, voices=(voice,))
