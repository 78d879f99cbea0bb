"""The signature: lanes measured back from the rendered stems, only around what changed."""

from __future__ import annotations

from app.render.clip import Clip
from app.render.messages import MeasuredSpan
from synth.spec import CELL_FRAMES, HOP_SAMPLES, n_frames_for

# A change is heard by the estimators this far on either side, so that much is measured again...
_SPREAD_FRAMES = 25
# ...and they are given this much more to settle in.
_MARGIN_FRAMES = 50
# Measured at a time: short enough to let a render in, long enough for the margins not to dominate.
_MAX_CELLS = 8


class StemMeasurer:
    """Knows which cells of which voices have been measured as they are now."""

    def __init__(self) -> None:
        self._measured: list[list[bytes | None]] = []

    def has_work(self, clip: Clip) -> bool:
        """Whether anything in the clip is not what was last measured."""
        return self._next(clip) is not None

    def measure_next(self, clip: Clip, request_id: int) -> MeasuredSpan | None:
        """Measure the next few cells that changed (about 0.2 s of work). None when all are known."""
        found = self._next(clip)
        if found is None:
            return None
        voice, first, end = found
        n_frames = n_frames_for(clip.n_samples)
        start_frame = max(first * CELL_FRAMES - _SPREAD_FRAMES, 0)
        end_frame = min(end * CELL_FRAMES + _SPREAD_FRAMES, n_frames)
        from_frame = max(start_frame - _MARGIN_FRAMES, 0)
        to_frame = min(end_frame + _MARGIN_FRAMES, n_frames)
        keys = clip.stem_keys[voice][first:end]
        audio = clip.read_stem(voice, from_frame * HOP_SAMPLES, to_frame * HOP_SAMPLES)
        from synth.features.analysis import analyse  # loads the pitch tracker: after the first sound, not before
        from synth.features.technique import load_technique_classifier

        inside = slice(start_frame - from_frame, end_frame - from_frame)
        measured = analyse(audio, technique_classifier=load_technique_classifier()).lanes
        lanes = {lane_id: values[inside].copy() for lane_id, values in measured.items()}
        self._measured[voice][first:end] = keys
        return MeasuredSpan(request_id, voice, n_frames, start_frame, lanes)

    def skip_next(self, clip: Clip) -> None:
        """Give up on what `measure_next` could not do, so that the rest can go on."""
        found = self._next(clip)
        if found is not None:
            voice, first, end = found
            self._measured[voice][first:end] = clip.stem_keys[voice][first:end]

    def _next(self, clip: Clip) -> tuple[int, int, int] | None:
        """(voice, first cell, end cell) of the next stretch to measure."""
        self._take_shape(clip)
        for voice, (keys, measured) in enumerate(zip(clip.stem_keys, self._measured)):
            for first, key in enumerate(keys):
                if key is None or key == measured[first]:
                    continue
                end = first + 1
                while end < min(first + _MAX_CELLS, len(keys)) and keys[end] not in (None, measured[end]):
                    end += 1
                return voice, first, end
        return None

    def _take_shape(self, clip: Clip) -> None:
        del self._measured[clip.n_stems :]
        while len(self._measured) < clip.n_stems:
            self._measured.append([])
        for measured in self._measured:
            del measured[clip.n_cells :]
            measured.extend([None] * (clip.n_cells - len(measured)))
