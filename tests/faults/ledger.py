"""The ledger: what the clients of a run sent, were answered and saw, and what was done to the system, one line each.

It is the only thing the checker knows of the clients. A line is a JSON object with `t`, seconds since the run began
(monotonic), and `kind`:

    run       settings seed                               once, first: the settings of the stack, and what chose the faults
    open      session tenant member path device gateway encoding   a WebSocket said hello and was welcomed; path: home org
    subscribe session channel since{epoch,offset}|null epoch offset recovered missed
    refused   session channel code                        a subscribe was answered with an error
    leave     session channel                             an unsubscribe was answered
    emit      session member event type payload attempt frame   sent; attempt 1 is the first copy of the event id.
                                                          Another payload under the same id is a conflict on purpose.
                                                          frame: the frame's id, unique in its session
    accepted  session event sequence duplicate frame      answered; frame tells which of several copies
    error     session event code temporary retry_ms frame answered
    push      session channel offset id type payload      a durable push arrived
    value     session channel name version payload        a value arrived
    close     session code reason asked                   the connection is over; asked: by the client itself.
                                                          1006 and no reason: it broke
    fault     name target phase detail                    phase: begin or end
    sample    process rss queues{metric: value} lag       taken between faults, a few times a second
    end       -                                           faults are over, everything was given time to settle

A session is one connection: a phone that reconnects is a new session of the same device. Its tenant is that of `open`; a
line of one session is written in the order in which it happened to that session. Numbers (offset, sequence, version) are
int, payloads are objects in the JSON mapping as sent or received; what the wire leaves out is written as 0, "" or {}.

The detail of a poison fault's `begin` is {"poison": [{"sequence", "tenant", "actor", "event"}]}: the sequences in EVENTS
under which it was stored; actor and event are null when its headers do not name them.
"""

import json
import threading
import time


class Ledger:
    """Append only; any thread or task may write. Lines are flushed at close, and read back by `read`."""

    def __init__(self, path):
        self.path = path
        self._file = open(path, "w", encoding="utf-8")
        self._lock = threading.Lock()
        self._began = time.monotonic()

    def write(self, kind, **fields):
        line = json.dumps({"t": round(time.monotonic() - self._began, 4), "kind": kind, **fields},
                          ensure_ascii=False)  # fmt: skip
        with self._lock:
            self._file.write(line + "\n")

    def close(self):
        with self._lock:
            self._file.close()


def read(path):
    """All lines, in the order in which they were written."""
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]
