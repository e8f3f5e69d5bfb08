"""What the clients of the day said and were told: one JSON object a line, in the order in which each of them saw it.

    {"kind": "event", "member", "via", "id", "type", "payload", "sequence", "outcome": {"status", "code", "field"}}
    {"kind": "refusal", "member", "via", "type", "payload", "code", "field"}      refused before it was accepted
    {"kind": "push", "member", "channel", "type", "id", "offset", "payload"}      offset 0: a value
    {"kind": "answer", "member", "type", "request", "reply" | "code"}
    {"kind": "note", ...}                                                         what the play itself knows, e.g. a code

`member` is the client's own name for itself; "" for somebody without a token.
"""

import json
import threading


class Transcript:
    def __init__(self, path=None):
        self.entries = []
        self._file = open(path, "w", encoding="utf-8") if path else None
        self._lock = threading.Lock()

    def add(self, kind, **entry):
        entry = {"kind": kind, **entry}
        with self._lock:
            self.entries.append(entry)
            if self._file:
                self._file.write(json.dumps(entry, ensure_ascii=False) + "\n")
                self._file.flush()
        return entry

    def close(self):
        if self._file:
            self._file.close()

    @staticmethod
    def read(path):
        transcript = Transcript()
        with open(path, encoding="utf-8") as lines:
            transcript.entries = [json.loads(line) for line in lines]
        return transcript

    # --- what a checker asks for ---

    def events(self, type_=None, status="APPLIED"):
        """Each once, however often it was sent."""
        found = {(e["member"], e["id"]): e for e in self.entries
                 if e["kind"] == "event" and (type_ is None or e["type"] == type_)
                 and (status is None or e["outcome"]["status"] == status)}  # fmt: skip
        return list(found.values())

    def pushes(self, channel=None, type_=None, member=None):
        return [e for e in self.entries if e["kind"] == "push" and (channel is None or e["channel"] == channel)
                and (type_ is None or e["type"] == type_)
                and (member is None or e["member"] == member)]  # fmt: skip

    def answers(self, type_):
        return [e for e in self.entries if e["kind"] == "answer" and e["type"] == type_]

    def notes(self, what):
        return [e for e in self.entries if e["kind"] == "note" and e["what"] == what]
