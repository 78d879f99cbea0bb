"""Errors in three tiers, logs, and the trace of a crash.

Expected trouble is a UserError: one line and a remedy. Anything else that escapes is a Fault: one line, with the full
trace in the log. A crash below Python leaves its trace in a file, shown at the next start.
"""

from app.report.crash import CrashMarker, CrashReport
from app.report.faults import Fault, fault_of, install_hooks, line_for
from app.report.logs import log_folder, set_up_logging

__all__ = [
    "CrashMarker",
    "CrashReport",
    "Fault",
    "fault_of",
    "install_hooks",
    "line_for",
    "log_folder",
    "set_up_logging",
]
