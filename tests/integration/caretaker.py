"""Ends what a run of tests leaves behind when it is killed: its processes, and its tmpfs mounts.

A process of its own, nobody's child, told on a pipe what there is; the pipe's end says that the run is gone. A run that
ends in order has nothing left by then. (Linux's parent-death signal would not do: it comes when the thread that
started the process ends.)
"""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import threading

_lock = threading.Lock()
_pipe = None


def note_process(pid):
    """Of a process just started. One that takes its pid later has another time of start, and is left alone."""
    _tell("process", str(pid), _began(pid))


def note_mount(folder):
    _tell("mount", "-", str(folder))


def forget_mount(folder):
    _tell("unmounted", "-", str(folder))


def _tell(*words):
    global _pipe
    with _lock:
        if _pipe is None:
            _pipe = subprocess.Popen([sys.executable, "-S", __file__], stdin=subprocess.PIPE, start_new_session=True)
            _pipe.wait()  # its child is the one that stays
        _pipe.stdin.write(" ".join(words).encode() + b"\n")
        _pipe.stdin.flush()


def _began(pid):
    """Time of its start, in ticks since the machine's; empty: it is gone."""
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return ""


def _listen():
    processes, mounts = {}, []
    for line in sys.stdin:
        kind, pid, rest = line.rstrip("\n").split(" ", 2)
        if kind == "process":
            processes = {p: began for p, began in processes.items() if _began(p) == began}
            processes[pid] = rest
        elif kind == "mount":
            mounts.append(rest)
        else:
            mounts.remove(rest)
    for pid, began in processes.items():
        if began and _began(pid) == began:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
    for folder in mounts:
        subprocess.run(["umount", "-l", folder], check=False)


if __name__ == "__main__":
    if os.fork() == 0:
        # Whoever waits for the run's output must not wait for us.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        _listen()
