"""A run that is killed leaves nothing behind."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys

from waiting import until

RUN = """
import pathlib, random, sys, time
sys.path[:0] = sys.argv[1:3]
from world import World
world = World(pathlib.Path(sys.argv[3]), random.Random(1))
for service in world.services:
    service.start()
print(*(service.pid for service in world.services), flush=True)
time.sleep(600)
"""
HERE = pathlib.Path(__file__).parent


def runs(pid):
    """A zombie does not."""
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_processes_and_mounts_of_a_killed_run_go(tmp_path):
    folder = tmp_path / "world"
    with subprocess.Popen([sys.executable, "-c", RUN, HERE, HERE.parent / "integration", folder],
                          stdout=subprocess.PIPE, text=True) as run:  # fmt: skip
        pids = [int(word) for word in run.stdout.readline().split()]
        assert len(pids) == 2 and all(map(runs, pids))
        mounted = os.path.ismount(folder / "jetstream0")
        run.send_signal(signal.SIGKILL)
    until(lambda: not any(map(runs, pids)), 20, what="its services are gone")
    if mounted:
        until(lambda: not os.path.ismount(folder / "jetstream0"), 20, what="its tmpfs is gone")
