"""Between seconds, values and pixels. Pure: no Qt."""

from __future__ import annotations

from dataclasses import dataclass, replace

MIN_PX_PER_S = 0.05
MAX_PX_PER_S = 4000.0


@dataclass(frozen=True, slots=True)
class TimeView:
    """Which stretch of the passage is on screen.

    start_s    time at the left edge, may be slightly below 0
    px_per_s   horizontal scale
    width_px   width of the strips
    """

    start_s: float = 0.0
    px_per_s: float = 100.0
    width_px: int = 800

    @property
    def end_s(self) -> float:
        return self.start_s + self.width_px / self.px_per_s

    @property
    def span_s(self) -> float:
        return self.width_px / self.px_per_s

    def x_of(self, t_s: float) -> float:
        """Pixel of a time."""
        return (t_s - self.start_s) * self.px_per_s

    def t_of(self, x_px: float) -> float:
        """Time under a pixel."""
        return self.start_s + x_px / self.px_per_s

    def zoomed(self, factor: float, anchor_x_px: float, duration_s: float) -> TimeView:
        """Scaled by `factor`, keeping the time under `anchor_x_px` where it is."""
        anchor_s = self.t_of(anchor_x_px)
        scale = min(max(self.px_per_s * factor, self._smallest_scale(duration_s)), MAX_PX_PER_S)
        return replace(self, px_per_s=scale, start_s=anchor_s - anchor_x_px / scale).bounded(duration_s)

    def scrolled(self, by_s: float, duration_s: float) -> TimeView:
        """Moved along the passage."""
        return replace(self, start_s=self.start_s + by_s).bounded(duration_s)

    def fitted(self, start_s: float, end_s: float) -> TimeView:
        """Showing [start_s, end_s] with a small margin."""
        span_s = max(end_s - start_s, 0.05)
        margin_s = span_s * 0.02
        scale = min(max(self.width_px / (span_s + 2 * margin_s), MIN_PX_PER_S), MAX_PX_PER_S)
        return replace(self, start_s=max(start_s - margin_s, 0.0), px_per_s=scale)

    def bounded(self, duration_s: float) -> TimeView:
        """Kept from running away from the passage: a quarter of a screen may lie beyond its end."""
        latest_s = max(duration_s - self.span_s * 0.75, 0.0)
        return replace(self, start_s=min(max(self.start_s, 0.0), latest_s))

    def _smallest_scale(self, duration_s: float) -> float:
        return max(self.width_px / max(duration_s * 1.5, 1.0), MIN_PX_PER_S)


@dataclass(frozen=True, slots=True)
class ValueView:
    """A vertical scale: `top` at y = padding, `bottom` at y = height - padding."""

    bottom: float
    top: float
    height_px: float
    padding_px: float = 0.0

    @property
    def px_per_unit(self) -> float:
        return max(self.height_px - 2 * self.padding_px, 1.0) / (self.top - self.bottom)

    def y_of(self, value: float) -> float:
        """Pixel of a value."""
        return self.padding_px + (self.top - value) * self.px_per_unit

    def value_of(self, y_px: float) -> float:
        """Value under a pixel, not clamped."""
        return self.top - (y_px - self.padding_px) / self.px_per_unit


def zoomed_values(view: ValueView, factor: float, anchor_y_px: float, lowest: float, highest: float) -> ValueView:
    """`view` scaled by `factor` about a pixel, inside [lowest, highest]."""
    anchor = view.value_of(anchor_y_px)
    span = min(max((view.top - view.bottom) / factor, 6.0), highest - lowest)
    share = (view.top - anchor) / (view.top - view.bottom)
    return shifted_values(
        replace(view, top=anchor + share * span, bottom=anchor + share * span - span), 0.0, lowest, highest
    )


def shifted_values(view: ValueView, by: float, lowest: float, highest: float) -> ValueView:
    """`view` moved by `by` units, inside [lowest, highest]."""
    span = view.top - view.bottom
    bottom = min(max(view.bottom + by, lowest), highest - span)
    return replace(view, bottom=bottom, top=bottom + span)
