"""A JACK client in C that plays silence: what a machine does to a client that has nothing to do.

It is compiled where it runs. No header of JACK is needed, only its library, which it opens itself.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from synth.errors import UserError

_COMPILE_S: Final = 60.0
_PATIENCE_S: Final = 10.0
_COMPILERS: Final = ("cc", "gcc", "clang")

# It stands where the engine's own client would, under the same name: the recorder connects to either.
_SOURCE: Final = r"""
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef uint32_t frames_t;
static void *(*buffer_of)(void *, frames_t);
static frames_t (*frame_time)(void *);
static void *client, *port;
static volatile long periods, late, lost, xruns;
static frames_t expected;

static int process(frames_t n, void *unused) {
    frames_t now = frame_time(client);
    if (periods && now != expected) { late++; lost += (int32_t)(now - expected); }
    expected = now + n;
    periods++;
    memset(buffer_of(port, n), 0, n * sizeof(float));
    return 0;
}
static int on_xrun(void *unused) { xruns++; return 0; }

int main(int count, char **words) {
    void *jack = dlopen("libjack.so.0", RTLD_NOW);
    if (!jack || count < 2) return 2;
    void *(*open_client)(const char *, int, int *, ...) = dlsym(jack, "jack_client_open");
    void *(*add_port)(void *, const char *, const char *, unsigned long, unsigned long) =
        dlsym(jack, "jack_port_register");
    int (*set_process)(void *, int (*)(frames_t, void *), void *) = dlsym(jack, "jack_set_process_callback");
    int (*set_xrun)(void *, int (*)(void *), void *) = dlsym(jack, "jack_set_xrun_callback");
    int (*activate)(void *) = dlsym(jack, "jack_activate");
    int (*close_client)(void *) = dlsym(jack, "jack_client_close");
    buffer_of = dlsym(jack, "jack_port_get_buffer");
    frame_time = dlsym(jack, "jack_last_frame_time");
    if (!open_client || !add_port || !set_process || !set_xrun || !activate || !close_client) return 2;
    int status = 0;
    client = open_client("PortAudio", 1, &status);
    if (!client) return 3;
    port = add_port(client, "out_0", "32 bit float mono audio", 2, 0);
    set_process(client, process, NULL);
    set_xrun(client, on_xrun, NULL);
    if (!port || activate(client)) return 4;
    struct timespec second = {1, 0};
    nanosleep(&second, NULL);
    long before[4] = {periods, late, lost, xruns};
    double seconds = atof(words[1]);
    struct timespec all = {(time_t)seconds, (long)((seconds - (time_t)seconds) * 1e9)};
    nanosleep(&all, NULL);
    printf("%ld %ld %ld %ld\n", periods - before[0], late - before[1], lost - before[2], xruns - before[3]);
    close_client(client);
    return 0;
}
"""


@dataclass(frozen=True, slots=True)
class SilentFigures:
    """late_periods: those JACK counted as late, whoever was; own_gaps and zero_frames: what this client itself lost."""

    periods: int
    late_periods: int
    own_gaps: int
    zero_frames: int


class SilentClient:
    """Compiled until the context ends. Raises UserError where there is no compiler or no library of JACK's."""

    def __enter__(self) -> SilentClient:
        compiler = next((found for name in _COMPILERS if (found := shutil.which(name))), None)
        if compiler is None:
            raise UserError("There is no C compiler.", remedy="Install gcc: what it is compared with is written in C.")
        self._folder = tempfile.TemporaryDirectory(prefix="stridor-bench-")
        source, self._program = Path(self._folder.name) / "silence.c", Path(self._folder.name) / "silence"
        source.write_text(_SOURCE)
        command = [compiler, "-O2", "-o", str(self._program), str(source), "-ldl"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_COMPILE_S, check=False)
        if done.returncode:
            self._folder.cleanup()
            raise UserError(f"The silent client does not compile: {done.stderr.strip()[-200:]}", remedy="Check gcc.")
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def start(self, seconds: float) -> subprocess.Popen[str]:
        """Let it play for so long, after a second of settling."""
        return subprocess.Popen([str(self._program), str(seconds)], stdout=subprocess.PIPE, text=True)

    def figures(self, process: subprocess.Popen[str], seconds: float) -> SilentFigures:
        """What it counted, once it has ended. Raises UserError."""
        try:
            told, _ = process.communicate(timeout=seconds + _PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            told = ""
        words = told.split()
        if process.returncode or len(words) != 4:
            raise UserError(
                f"The silent client ended with {process.returncode}.", remedy="Check that libjack is installed."
            )
        periods, gaps, lost, late = map(int, words)
        return SilentFigures(periods, late, gaps, lost)
