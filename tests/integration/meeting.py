"""A meeting as its secretary holds it: convened, opened, its code on the screen, closed."""

import base64
import datetime

from people import checkin_code, code_slot, new_id


def rfc3339(seconds_from_now=0):
    moment = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds_from_now)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


class Meeting:
    def __init__(self, town, desk, roster, opened=True, period_s=30):
        """desk: a phone of the secretary."""
        self.town, self.desk = town, desk
        self.path, self.id = town.branch, new_id("m")
        self.period_s = period_s
        self.channel = f"meeting.{self.path}.{self.id}"
        self.convened = desk.done("meeting.convened", self.announcement(roster))
        if opened:
            self.open()

    def announcement(self, roster):
        return {
            "orgPath": self.path,
            "meetingId": self.id,
            "kind": "ASSEMBLY",
            "title": "支部党员大会",
            "place": "三楼会议室",
            "startsAt": rfc3339(-60),
            "endsAt": rfc3339(3540),
            "roster": [person.member for person in roster],
            "codePeriodS": self.period_s,
        }

    @property
    def named(self):
        return {"orgPath": self.path, "meetingId": self.id}

    def open(self):
        return self.desk.done("meeting.opened", self.named)

    def finish(self):
        return self.desk.done("meeting.closed", self.named)

    def key(self):
        reply = self.desk.query("meeting.code_key", self.named)
        assert reply["codePeriodS"] == self.period_s
        return base64.b64decode(reply["key"])

    def code(self, slots_from_now=0, key=None, **changes):
        """The code that the screen shows, or will show, or showed."""
        slot = changes.pop("slot", code_slot(self.period_s) + slots_from_now)
        signed = {"tenant": self.town.name, "org_path": self.path, "meeting_id": self.id, **changes}
        return checkin_code(key or self.key(), slot=slot, **signed)

    def checkin(self, code=None, method="CODE"):
        """Payload of a check-in to this meeting."""
        return {**self.named, "method": method, "code": code or self.code()}

    def get(self):
        return self.desk.query("meeting.get", self.named)

    def attendance(self):
        return self.desk.query("meeting.attendance", self.named)
