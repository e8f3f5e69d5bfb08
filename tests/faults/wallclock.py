"""A wall clock of its own for each of our processes, set while it runs: libfaketime, from Debian's package `faketime`.

Only the wall clock steps. The monotonic clock goes on as it does on a real machine whose time was set.
"""

import pathlib

LIBRARIES = ("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
             "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1")  # fmt: skip
SANITIZERS = (b"__asan_init", b"__tsan_init")


def library():
    return next((path for path in LIBRARIES if pathlib.Path(path).exists()), None)


def why_not_faked(program):
    """Why this program's clock cannot be set; None when it can."""
    if library() is None:
        return "libfaketime is not installed (Debian package faketime)"
    if any(name in pathlib.Path(program).read_bytes() for name in SANITIZERS):
        return "a sanitizer's runtime must be the first library of a program, so nothing can be preloaded"
    return None


def clear_after(pid):
    """What libfaketime leaves of a process that was killed: a later one that got its pid would not start."""
    for name in (f"faketime_shm_{pid}", f"sem.faketime_sem_{pid}"):
        pathlib.Path("/dev/shm", name).unlink(missing_ok=True)


class Clock:
    """The file that libfaketime reads again every second."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.set(0)

    def env(self):
        return {"LD_PRELOAD": library(), "FAKETIME_TIMESTAMP_FILE": str(self.path), "FAKETIME_CACHE_DURATION": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1"}  # fmt: skip

    def set(self, offset_s):
        """Seconds ahead of the true time, negative: behind it. Replaced at once: a half-written file is an odd time."""
        new = self.path.with_suffix(".new")
        new.write_text(f"{offset_s:+d}\n")
        new.replace(self.path)
