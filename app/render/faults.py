"""Faults of the sampler's work as a line and a remedy."""

from __future__ import annotations

import logging
import traceback

from app.render.events import RenderFailed
from synth.errors import UserError

_log = logging.getLogger(__name__)


def message_of(fault: Exception, what: str) -> tuple[str, str]:
    """(message, remedy); `what` says of a fault of ours what it has spoilt."""
    if isinstance(fault, UserError):
        return fault.message, fault.remedy
    return f"{what}: {fault or type(fault).__name__}.", "The log has the details."


def render_failed(request_id: int, fault: Exception) -> RenderFailed:
    """What to tell of a render; a fault of ours goes to the log as well."""
    details = "" if isinstance(fault, UserError) else "".join(traceback.format_exception(fault))
    if details:
        _log.error("render %d failed: %s", request_id, details)
    message, remedy = message_of(fault, "The render failed")
    return RenderFailed(request_id, message, remedy, details)
