"""A recording of what is played, while it is played: the sound as FLAC, and the gestures as a passage beside it."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import platformdirs

from app.live.stage.messages import Tell
from app.services.events import Recorded, RecordingState
from app.services.recording import AudioRecorder, PassageRecorder
from app.store.passages import PASSAGE_SUFFIX, save_passage
from synth.errors import UserError
from synth.spec import SAMPLE_RATE_HZ

if TYPE_CHECKING:
    from app.services.stage import StageSession

AUDIO_SUFFIX: Final = ".flac"


def takes_folder() -> Path:
    """Where recordings of this user's playing are kept; it need not exist."""
    return platformdirs.user_music_path() / "Stridor"


def new_take_path(folder: Path | None = None, now_s: float | None = None) -> Path:
    """A file for a take that begins now, called by the time; the folder is made. Raises UserError."""
    folder = takes_folder() if folder is None else folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise UserError(f"{folder} cannot be made: {fault.strerror or fault}.", remedy="Check its parent.") from fault
    stem = time.strftime("%Y-%m-%d %H.%M.%S", time.localtime(now_s))
    names = [stem, *(f"{stem} {number}" for number in range(2, 100))]
    paths = [folder / f"{name}{AUDIO_SUFFIX}" for name in names]
    free = next((path for path in paths if not path.exists()), None)
    if free is None:
        raise UserError(f"{paths[0]} is there already.", remedy="Wait a second and record again.")
    return free


class LiveTake:
    """One recording. Main thread. It ends with finish(); poll() then tells of it once all has been written."""

    def __init__(self, session: StageSession, path: Path) -> None:
        """Begin. Raises UserError where `path` (.flac or .wav) cannot be written."""
        self._session, self._path = session, path
        self._audio = AudioRecorder(session.sound, path)
        self._gestures = PassageRecorder()
        self._finished_s = 0.0
        self._closing: threading.Thread | None = None
        session.listen(self._gestures.hear)
        session.engine.play(Tell(is_wanted=True))

    @property
    def state(self) -> RecordingState:
        """How far it is."""
        audio = self._audio
        return RecordingState(audio.n_frames / SAMPLE_RATE_HZ, str(self._path), audio.lost_frames, audio.fault)

    def finish(self) -> None:
        """Stop recording; what has been played up to now is written by a thread. Idempotent."""
        if self._closing is None:
            self._finished_s = time.monotonic()
            self._closing = threading.Thread(target=self._audio.close, name="take-closer", daemon=True)
            self._closing.start()

    def poll(self) -> Recorded | None:
        """-> what has been recorded, once everything lies on disk."""
        if self._closing is None or self._closing.is_alive():
            return None
        self._session.stop_listening(self._gestures.hear)
        passage_path = self._path.with_suffix(PASSAGE_SUFFIX)
        state = self.state
        kept, trouble = str(passage_path), state.fault
        try:
            save_passage(self._gestures.passage(self._finished_s), passage_path)
        except UserError as fault:
            kept, trouble = "", trouble or f"{fault.message} {fault.remedy}".strip()
        return Recorded(str(self._path), kept, state.seconds, state.lost_frames, trouble)

    def close(self) -> Recorded | None:
        """Finish and wait: the performance ends."""
        self.finish()
        if self._closing is not None:
            self._closing.join()
        return self.poll()
