"""The ledger: what the clients of a run sent, were answered and saw, and what was done to the system, one line each.

It is the only thing the checker knows of the clients. A line is a JSON object with `t`, seconds since the run began
(monotonic), and `kind`:

    run       settings seed sanitized                     once, first: the settings of the stack, what chose the faults, and
                                                          whether the programs were built with a sanitizer
    open      session tenant member path roles device gateway encoding
                                                          a WebSocket said hello and was welcomed
    subscribe session channel since{epoch,offset}|null epoch offset recovered missed
    refused   session channel code                        a subscribe was answered with an error; what was held of the
                                                          channel is left, unless the code is busy
    leave     session channel                             an unsubscribe was answered
    emit      session tenant member event type payload attempt frame
                                                          about to be sent; attempt 1 is the first copy of the event id
                                                          (of this member of this tenant). Another payload under the
                                                          same id is a conflict on purpose. An emit without an answer may
                                                          have been stored or not
    accepted  session event sequence duplicate frame      answered; frame is the emit's, unique in the session
    error     session event code temporary retry_ms field frame
                                                          answered
    outcome   session event status code sequence          the answer to the query event.outcome: what the member was told
    push      session channel offset id type payload      a durable push arrived
    value     session channel name version payload        a value arrived
    close     session code reason asked                   the connection is over; asked: by the client itself.
                                                          1006 and no reason: it broke
    fault     name target phase detail                    phase: begin or end
    sample    process rss queues{metric: value} lag       taken all along, about once a second; lag: events in EVENTS, or
                                                          null when the broker did not say
    end       -                                           faults are over, everything was given time to settle. Only the
                                                          closes of the sessions still open follow

Numbers (offset, sequence, version) are int; payloads are objects in the JSON mapping as sent or received; what the wire
leaves out is written as 0, "" or {}. `since` null: subscribed without it. `since` with an empty epoch: all that is
kept. A subscribe to a channel that the session holds already begins anew at its `since`. An event is (tenant, member,
event): the same id is used by other members and in the other tenant on purpose. A session is one connection: a phone that
reconnects is a new session of the same device. The lines of one session stand in the order in which the phone saw them.

The detail of a poison fault's `begin` is {"poison": [{"sequence", "tenant", "actor", "event", "reason", "hash", "unsure"}]}:
the sequences in EVENTS under which it was stored; actor and event are null when its headers do not name them; reason is what
it must be set aside for, hash that of its type and body; unsure: a copy of it may be there under another sequence, since the
broker did not answer at first. That of a duplicate's is {"again": [{"sequence", "unsure", "tenant", "actor", "event"}]}.
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

    def seconds(self):
        """Since the run began."""
        return time.monotonic() - self._began

    def write(self, kind, **fields):
        text = json.dumps({"t": 0, "kind": kind, **fields}, ensure_ascii=False)
        with self._lock:
            # The time is taken under the lock, so that it never falls from one line to the next.
            self._file.write(f'{{"t": {self.seconds():.4f}{text[7:]}\n')

    def close(self):
        with self._lock:
            self._file.close()


def read(path):
    """All lines, in the order in which they were written."""
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]
