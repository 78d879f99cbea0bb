"""Which render is wanted, which one the sampler has, and when to say so. Pure bookkeeping: time is handed in."""

from __future__ import annotations

from dataclasses import replace

from app.render.messages import CancelRender, Render
from app.state.passage import Passage

# A pen stroke asks sixty times a second; the sampler is asked when the pen rests this long.
DEBOUNCE_S = 0.15


class RenderRequests:
    """Newest wins; nothing is sent before it has stood for DEBOUNCE_S."""

    def __init__(self, debounce_s: float = DEBOUNCE_S) -> None:
        self._debounce_s = debounce_s
        self._last_id = 0
        self._waiting: Render | None = None
        self._due_s = 0.0
        self.with_sampler: Render | None = None  # sent, and not heard to have ended

    def ask(self, passage: Passage, *, quality: str, playhead_s: float, now_s: float) -> tuple[int, int | None]:
        """A new wish -> (its id, the id of a wish that it replaced before anybody was told, or None)."""
        replaced = None if self._waiting is None else self._waiting.request_id
        self._last_id += 1
        self._waiting = Render(self._last_id, passage, quality, playhead_s, has_audio=False)
        self._due_s = now_s + self._debounce_s
        return self._last_id, replaced

    def due(self, now_s: float, *, has_audio: bool) -> Render | None:
        """The wish to send now, if any."""
        if self._waiting is None or now_s < self._due_s:
            return None
        self.with_sampler = replace(self._waiting, has_audio=has_audio)
        self._waiting = None
        return self.with_sampler

    @property
    def is_busy(self) -> bool:
        """Whether a wish waits or is being carried out."""
        return self._waiting is not None or self.with_sampler is not None

    def call_off(self) -> tuple[int | None, CancelRender | None]:
        """Withdraw the newest wish -> (id of one that was still waiting, what to tell the sampler)."""
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            return waiting.request_id, None
        if self.with_sampler is not None:
            return None, CancelRender(self.with_sampler.request_id)
        return None, None

    def ended(self, request_id: int) -> None:
        """The sampler is done with this one, in whatever way."""
        if self.with_sampler is not None and self.with_sampler.request_id == request_id:
            self.with_sampler = None
