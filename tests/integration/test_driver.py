"""The database's driver keeps nothing in /dev/shm: a killed process leaves nothing there, and what an older one with the
same pid left does not matter."""

import pathlib

import pytest

from stack import built, Process

SHARED = pathlib.Path("/dev/shm")
# In a process that becomes the program: it has the pid for which something lies there already.
LEAVE_FIRST = 'echo older >"/dev/shm/mongoc-$$" && exec "$0" "$@"'


def left_by(pid):
    return SHARED / f"mongoc-{pid}"


def test_a_killed_worker_leaves_no_shared_memory(stack):
    worker = stack.workers[0]
    pid = worker.pid
    worker.kill()
    stack.start_worker(worker)
    assert not left_by(pid).exists()


def test_what_an_older_process_left_does_not_matter(stack):
    worker = stack.workers[0]
    worker.kill()
    older = len(worker.text())
    argv, worker.argv = worker.argv, ["sh", "-c", LEAVE_FIRST, *worker.argv]
    try:
        stack.start_worker(worker)
        assert left_by(worker.pid).read_text() == "older\n"
        assert "mongoc" not in worker.text()[older:]
    finally:
        left_by(worker.pid).unlink(missing_ok=True)
        worker.argv = argv


@pytest.mark.parametrize("name", ["yz-worker", "yzctl"])
def test_no_program_warns_of_it(tmp_path, name):
    process = Process(name, ["sh", "-c", LEAVE_FIRST, built(name), "--help"], tmp_path).start()
    try:
        assert process.wait() in (0, 2)
        assert "mongoc" not in process.text()
    finally:
        left_by(process.pid).unlink(missing_ok=True)
