"""A client of the day: a phone on a WebSocket, or somebody who only asks over HTTP. Whatever it says and hears goes into
the transcript; a temporary refusal is answered with the same event again, as every client must."""

import time

from people import new_id
from phone import Phone, Refused

PATIENCE_S = 60


class Asker:
    """What it asks goes into the transcript, with what it is told."""

    def ask(self, type_, request=None, after=None):
        """The answer, or None with the code in the transcript. after: an entry whose effect is asked for."""
        request = request or {}
        try:
            reply = self._ask(type_, request, after["sequence"] if after else 0)
        except Refused as refused:
            self.transcript.add("answer", member=self.name, type=type_, request=request, code=refused.code)
            return None
        self.transcript.add("answer", member=self.name, type=type_, request=request, reply=reply)
        return reply


class Client(Asker):
    def __init__(self, stack, transcript, person, encoding=None, channels=()):
        """encoding None: HTTP alone."""
        self.stack, self.transcript, self.person = stack, transcript, person
        self.name = person.member
        self.token = stack.keys.token(person, lifetime_s=3600)
        self.phone = None
        self._told = 0
        if encoding:
            self.phone = Phone(stack.url(), encoding)
            stack.phones.append(self.phone)
            self.phone.hello(self.token, [(channel, {}) for channel in channels])

    # --- events ---

    def emit(self, type_, payload, event_id=None):
        """Until it is accepted; the transcript's entry, without its outcome yet. None: refused at the door."""
        event_id = event_id or new_id("e")
        try:
            accepted = self._accepted(event_id, type_, payload)
        except Refused as refused:
            self.transcript.add("refusal", member=self.name, via=self.via, type=type_, payload=payload,
                                code=refused.code, field=refused.error.get("field", ""))  # fmt: skip
            return None
        return {"member": self.name, "path": self.person.path, "via": self.via, "id": event_id, "type": type_,
                "payload": payload, "sequence": accepted}  # fmt: skip

    def do(self, type_, payload, event_id=None):
        """Emit and await the outcome; the entry of the transcript."""
        entry = self.emit(type_, payload, event_id)
        return self.settle(entry) if entry else None

    def settle(self, entry):
        outcome = self._ask("event.outcome", {"eventId": entry["id"]}, entry["sequence"])["outcome"]
        told = {name: outcome.get(name, "") for name in ("status", "code", "field")}
        return self.transcript.add("event", **entry, outcome=told)

    @property
    def via(self):
        return f"ws+{self.phone.encoding}" if self.phone else "http"

    def _accepted(self, event_id, type_, payload):
        if self.phone:
            return self.phone.emit(type_, payload, event_id, retry=True, timeout=PATIENCE_S)["sequence"]
        body = {"eventId": event_id, "type": type_, "payload": payload}
        return int(self._patient(lambda: self._http("POST", "/v1/events", body))["sequence"])

    # --- queries ---

    def _ask(self, type_, request, min_sequence):
        def once():
            if self.phone:
                return self.phone.query(type_, request, min_sequence)
            # An answer over HTTP is the same; a request with lists goes over a phone.
            pairs = "&".join([f"{name}={value}" for name, value in request.items()]
                             + ([f"min_sequence={min_sequence}"] if min_sequence else []))  # fmt: skip
            return self._http("GET", f"/v1/query/{type_.replace('.', '/')}{'?' if pairs else ''}{pairs}")

        return self._patient(once)

    def _http(self, method, path, body=None):
        status, _, answer = self.stack.http(method, path, body, self.token)
        if status >= 400:
            raise Refused(answer)
        return answer

    @staticmethod
    def _patient(ask):
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return ask()
            except Refused as refused:
                if not refused.error.get("temporary") or time.monotonic() >= deadline:
                    raise
                time.sleep(min(refused.error.get("retryAfterMs", 50), 500) / 1000)

    # --- pushes ---

    def wait(self, condition, what):
        """Until the pushes that came fulfil it."""
        self.phone.read_until(lambda: condition(self.phone), PATIENCE_S, f"{self.name}: {what}")

    def tell(self):
        """Note the pushes that came since the last time."""
        if not self.phone:
            return
        for push in self.phone.pushes[self._told :]:
            self.transcript.add("push", member=self.name, channel=push["channel"], type=push["type"],
                                id=push.get("id", ""), name=push.get("name", ""), offset=int(push.get("offset", 0)),
                                payload=push["payload"])  # fmt: skip
        self._told = len(self.phone.pushes)
