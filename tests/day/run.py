"""scripts/day: plays the day on a system of its own, with workers killed in its course unless told otherwise, and checks it."""

import argparse
import pathlib
import random
import secrets
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "integration")]

from check import check  # noqa: E402
from play import Day  # noqa: E402
from stack import Stack  # noqa: E402
from transcript import Transcript  # noqa: E402

TENANT = "day"


class Killer:
    """Kills a worker with SIGKILL every few seconds of the day and starts it again; one of the two is always there."""

    def __init__(self, stack, seed):
        self.stack, self.random = stack, random.Random(seed)
        self.kills = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()

    def _run(self):
        while not self._over.wait(self.random.uniform(4, 8)):
            worker = self.random.choice(self.stack.workers)
            worker.kill()
            self.kills += 1
            time.sleep(self.random.uniform(0, 0.5))
            self.stack.start_worker(worker)


def snapshot(stack):
    """Every document of the tenant, by collection."""
    names = stack.documents.list_collection_names()
    return {name: list(stack.documents[name].find({"tenant": TENANT})) for name in names}


def play(seed, kill, folder=None, say=lambda text: None):
    """(documents, transcript, kills) of one day."""
    folder = pathlib.Path(folder or tempfile.mkdtemp(prefix="yizhan-day-"))
    receipt_secret = folder / "receipt.secret"
    receipt_secret.write_bytes(secrets.token_bytes(32))
    receipt_secret.chmod(0o600)
    # The clients speak one after another: a silent one is not away.
    stack = Stack(workers=2 if kill else 1, idle_timeout_ms=1800000, public_tenants=TENANT, receipt_secret_file=receipt_secret)
    transcript = Transcript(folder / "transcript.jsonl")
    try:
        stack.start()
        day = Day(stack, transcript, TENANT, seed)
        if kill:
            with Killer(stack, seed) as killer:
                day.run()
            kills = killer.kills
        else:
            day.run()
            kills = 0
        documents = snapshot(stack)
    finally:
        transcript.close()
        stack.end()
    say(f"transcript: {folder / 'transcript.jsonl'}")
    return documents, transcript, kills


def main():
    parser = argparse.ArgumentParser(prog="scripts/day", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="who does what (default: 1)")
    parser.add_argument("--calm", action="store_true", help="kill nothing")
    words = parser.parse_args()
    documents, transcript, kills = play(words.seed, not words.calm, say=print)
    events = [e for e in transcript.entries if e["kind"] == "event"]
    print(f"seed {words.seed}: {len(events)} events, {sum(e['outcome']['status'] == 'REFUSED' for e in events)} refused, "
          f"{len(transcript.pushes())} pushes, {sum(e['kind'] == 'answer' for e in transcript.entries)} answers, "
          f"{sum(map(len, documents.values()))} documents, {kills} workers killed")
    wrong = check(documents, transcript)
    for text in wrong:
        print(f"WRONG: {text}")
    print("every rule and count holds" if not wrong else f"{len(wrong)} things are not as they must be")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
