"""The run by which the relay counts as done.

200 meetings × 50 members: 10,000 check-ins, each sent twice over 50 connections, half of the second copies at once and half
after the broker's duplicate window. Two workers; one is killed with SIGKILL five times, then both are away for longer
than the duplicate window while the phones go on. 5,000 posts in 20 threads in the same run, read by a phone that stays and
by one that reconnects ten times. Then everything is counted.

    YZ_LOAD_SCALE=0.1  a tenth of the meetings and posts
"""

import asyncio
import base64
import collections
import contextlib
import functools
import os
import pathlib
import platform
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

import wire  # noqa: E402
from crowd import Member, Tally  # noqa: E402
from meeting import Meeting  # noqa: E402
from people import Person, checkin_code, code_slot  # noqa: E402
from stack import Stack, Town  # noqa: E402
from waiting import TooLate, until  # noqa: E402

MEMBERS = 50
KILLS = 5
RECONNECTS = 10
WINDOW_MS = 2000
OUTAGE_S = 2 * WINDOW_MS / 1000 + 1
BEGINNING = {"epoch": "", "offset": 0}
SETTINGS = {
    "workers": 2,
    "duplicate_window_ms": WINDOW_MS,
    "lease_ttl_ms": 1500,
    "ack_wait_ms": 10000,
    "code_grace_ms": 60000,
    "channel_max_messages": 10000,
    "log_level": "info",
    "value_interval_ms": 500,
}


class Run:
    def __init__(self, stack, scale=1.0):
        self.stack, self.town = stack, Town(stack, "load")
        self.meetings_count = max(2, int(200 * scale))
        self.threads_count = max(2, int(20 * min(1, scale * 2)))
        self.posts_count = max(MEMBERS, int(5000 * scale) // MEMBERS * MEMBERS)
        self.people = self.town.members(MEMBERS)
        self.tally = Tally()
        self.figures = {}
        self.accepted = collections.defaultdict(list)  # (member, event id): sequences of its acceptances
        self.kills = 0

    @property
    def emits(self):
        return self.meetings_count * MEMBERS * 2 + self.posts_count

    # before: the meetings, and the phones that watch

    def convene(self):
        started = time.monotonic()
        desk = self.stack.phone(self.town.secretary, encoding="protobuf")
        self.meetings = [Meeting(self.town, desk, self.people) for _ in range(self.meetings_count)]
        self.keys = [held.key() for held in self.meetings]
        self.desk = desk
        self.figures["convened, opened and asked for its key, meetings/s"] = round(
            self.meetings_count / (time.monotonic() - started))  # fmt: skip

    def thread_channels(self):
        return [f"thread.{self.town.branch}.t{n}" for n in range(self.threads_count)]

    def watch(self):
        """One phone that stays, one that comes and goes, and screens that show the counts."""
        self.stayed = self.stack.phone(self.town.person("stayed"), encoding="protobuf",
                                       subscribe=self.thread_channels())  # fmt: skip
        self.screens = []
        for first in range(0, self.meetings_count, 50):
            channels = [held.channel for held in self.meetings[first : first + 50]]
            self.screens.append(self.stack.phone(self.town.secretary, subscribe=channels))
        self.over = threading.Event()
        self.comer = Comer(self)
        self.watchers = [threading.Thread(target=self._read_on, args=(phone,))
                         for phone in [self.stayed, *self.screens]]  # fmt: skip
        self.watchers.append(threading.Thread(target=self.comer.run))
        for thread in self.watchers:
            thread.start()

    def _read_on(self, phone):
        while not self.over.is_set():
            phone.read_for(0.5)
            phone.send({"ping": {}})

    # the crowd

    def checkin_event(self, number, person):
        held, key = self.meetings[number], self.keys[number]
        code = checkin_code(key, self.town.name, held.path, held.id, code_slot(30) + 1)
        payload = {**held.named, "method": "CODE", "code": code}
        return {"eventId": f"c-{number}-{person.member}", "type": "checkin.recorded", "payload": payload}

    def post_event(self, number):
        payload = {"orgPath": self.town.branch, "threadId": f"t{number % self.threads_count}",
                   "messageId": f"x{number}", "text": f"post {number}"}  # fmt: skip
        return {"eventId": f"p-{number}", "type": "thread.posted", "payload": payload}

    async def member_day(self, place, person):
        """Check-ins, each twice, with posts between them."""
        member = Member(self.stack.url(), self.stack.keys.token(person), self.tally)
        posts = list(range(place, self.posts_count, MEMBERS))
        tasks = []
        for number in range(self.meetings_count):
            late = (number + place) % 2 == 1
            tasks.append(asyncio.create_task(self._twice(member, person, number, late)))
            if posts and len(posts) * self.meetings_count >= self.posts_count // MEMBERS * (
                self.meetings_count - number
            ):
                tasks.append(asyncio.create_task(self._emit(member, person, self.post_event(posts.pop()))))
            if len(tasks) % 64 == 0:
                await tasks[-32]
        tasks += [asyncio.create_task(self._emit(member, person, self.post_event(n))) for n in posts]
        await asyncio.gather(*tasks)
        await member.close()

    async def _emit(self, member, person, event):
        accepted = await member.emit(event)
        self.accepted[person.member, accepted["eventId"]].append(int(accepted["sequence"]))

    async def _twice(self, member, person, number, late):
        """The code is made when it is sent: on a busy machine one made with the task would be too old by then."""
        event = functools.cache(lambda: self.checkin_event(number, person))
        await self._emit(member, person, event)
        if late:
            await asyncio.sleep(WINDOW_MS / 1000 + 0.5)
        await self._emit(member, person, event)

    async def crowd(self):
        await asyncio.gather(*(self.member_day(n, p) for n, p in enumerate(self.people)))

    # what goes wrong meanwhile

    def trouble(self):
        """Five SIGKILLs at growing progress, then both workers away for longer than the duplicate window."""
        first, second = self.stack.workers
        for kill in range(KILLS):
            until(lambda k=kill: self.tally.accepted >= self.emits * 0.1 * (k + 1), 300, what="progress")
            first.kill()
            self.kills += 1
            self.stack.start_worker(first)
        until(lambda: self.tally.accepted >= self.emits * 0.6, 300, what="progress")
        first.kill()
        second.kill()
        self.outage_from = time.monotonic()
        time.sleep(OUTAGE_S)  # the outage itself, not a wait for something
        self.waiting_events = self.stack.bus.stream("EVENTS")["state"]["messages"]
        for worker in (first, second):
            self.stack.start_worker(worker, ready=False)
        for worker in (first, second):
            self.stack.wait_ready(worker)
        self.figures["outage of both workers, s"] = round(time.monotonic() - self.outage_from, 1)
        self.figures["events waiting at its end"] = self.waiting_events

    def go(self):
        self.convene()
        self.watch()
        started = time.monotonic()
        failures = []
        trouble = threading.Thread(target=guarded, args=(self.trouble, failures))
        trouble.start()
        asyncio.run(self.crowd())
        sent = time.monotonic() - started
        trouble.join()
        assert not failures, failures
        self.settle()
        settled = time.monotonic() - started
        self.conflicts()
        self.settle()
        self.figures.update({
            "emits accepted": self.tally.accepted,
            "of these told to be duplicates by the broker": self.tally.duplicates,
            "sent in, s": round(sent, 1),
            "accepted/s while the workers died": round(self.tally.accepted / sent),
            "Accepted after, ms p50": round(self.tally.percentile_ms(0.5), 1),
            "Accepted after, ms p99": round(self.tally.percentile_ms(0.99), 1),
            "temporary errors answered by sending again": self.tally.temporary or 0,
            "SIGKILLs of a worker": self.kills,
            "all settled after, s": round(settled, 1),
            "gateway memory, MB": self.stack.gateways[0].rss_bytes() >> 20,
            "workers' memory, MB": [w.rss_bytes() >> 20 for w in self.stack.workers],
        })  # fmt: skip

    def settle(self):
        until(lambda: self.stack.bus.stream("EVENTS")["state"]["messages"] == 0, 180, 0.2,
              "all events are settled")  # fmt: skip

    def conflicts(self):
        """The same ids once more with another payload; and the same ids in another tenant."""
        asyncio.run(self._conflicts())
        self.other = Town(self.stack, "other")
        desk = self.stack.phone(self.other.secretary)
        self.twin = Meeting(self.other, desk, self.people)
        key = self.twin.key()

        async def others():
            for person in self.people:
                twin = Person("other", person.member)
                member = Member(self.stack.url(), self.stack.keys.token(twin), Tally())
                code = checkin_code(key, "other", self.twin.path, self.twin.id, code_slot(30))
                await member.emit({"eventId": f"c-0-{person.member}", "type": "checkin.recorded",
                                   "payload": {**self.twin.named, "method": "CODE", "code": code}})  # fmt: skip
                await member.close()

        asyncio.run(others())

    async def _conflicts(self):
        self.conflict_inboxes = []
        for person in self.people[:10]:
            inbox = await asyncio.to_thread(
                self.stack.phone, person, subscribe=[f"member.{person.member}"])  # fmt: skip
            member = Member(self.stack.url(), self.stack.keys.token(person), Tally())
            event = self.checkin_event(1, person)
            await member.emit({**event, "eventId": f"c-0-{person.member}"})
            await member.close()
            self.conflict_inboxes.append(inbox)

    # after: the count

    def check(self):
        desk = self.stack.phone(self.town.secretary, encoding="protobuf")  # the one before has been idle for long
        for held in self.meetings:
            held.desk = desk
        try:
            self.check_pushes()
        finally:
            self.over.set()
            for thread in self.watchers:
                thread.join()
        self.check_documents()
        self.check_conflicts()

    def check_documents(self):
        checkins = self.meetings_count * MEMBERS
        found = self.town.find("checkins")
        assert len(found) == checkins, f"{len(found)} documents for {checkins} check-ins"
        outcomes = {(o["actor"], o["event_id"]): o for o in self.town.find("outcomes")}
        expected = checkins + self.posts_count + 2 * self.meetings_count
        assert len(outcomes) == expected, f"{len(outcomes)} outcomes for {expected} ids"
        assert self.stack.documents.outcomes.count_documents({"tenant": "load"}) == expected
        for key, sequences in self.accepted.items():
            outcome = outcomes[key]
            assert outcome["status"] == "applied", outcome
            assert outcome["sequence"] == min(sequences), (outcome, sequences)
        doubled = [key for key, sequences in self.accepted.items() if key[1].startswith("c-") and len(sequences) == 2]
        assert len(doubled) == checkins, "each check-in was accepted twice"
        self.figures["second copies that the database told apart"] = sum(
            len(set(sequences)) == 2 for sequences in self.accepted.values())  # fmt: skip
        for held in self.meetings:
            assert held.get().get("present") == MEMBERS, held.get()
        assert len(self.town.find("posts")) == self.posts_count

    def check_pushes(self):
        """Final counts on the screens; posts in the order of EVENTS, each once, for both readers."""
        until(lambda: len(self.stayed.pushes) >= self.posts_count, 60, 0.2, "the reader who stayed has all")
        until(lambda: self.comer.total() >= self.posts_count, 60, 0.2, "the reader who came and went has all")
        try:
            until(lambda: all(self.last_counts().get(h.channel) == MEMBERS for h in self.meetings), 60, 0.5,
                  "each meeting's count is final")  # fmt: skip
        except TooLate as late:
            raise AssertionError(self.counts_told()) from late
        expected = self.expected_posts()
        stayed = sequences_by_channel(self.stayed.pushes)
        assert stayed == expected, difference(stayed, expected)
        came = sequences_by_channel(self.comer.pushes())
        assert came == expected, difference(came, expected)
        assert self.comer.reconnects == RECONNECTS

    def expected_posts(self):
        expected = collections.defaultdict(list)
        for (_, event_id), sequences in self.accepted.items():
            if event_id.startswith("p-"):
                thread = int(event_id[2:]) % self.threads_count
                expected[f"thread.{self.town.branch}.t{thread}"].append(min(sequences))
        return {channel: sorted(sequences) for channel, sequences in expected.items()}

    def last_counts(self):
        counts = {}
        for screen in self.screens:
            for push in list(screen.pushes):
                if push["type"] == "meeting.attendance_count":
                    counts[push["channel"]] = push["payload"].get("present", 0)
        return counts

    def stored_counts(self):
        """The last count of each channel in the stream, and the event that it is of."""
        counts = {}
        for stored in self.stack.bus.everything("STATE"):
            push = wire.unpack("Push", stored["data"])
            _, tenant, rest = stored["subject"].split(".", 2)
            if tenant == self.town.name and push["type"] == "meeting.attendance_count":
                count = wire.unpack("AttendanceCount", base64.b64decode(push["payload"]))
                counts[rest.rpartition(".")[0]] = (count.get("present", 0), push["version"])
        return counts

    def counts_told(self):
        """Where a count hangs: shown, in the documents, in the stream; refusals; and whether the events are settled."""
        shown = self.last_counts()
        stored = self.stored_counts()
        wrong = {h.channel: (shown.get(h.channel), h.get().get("present"), stored.get(h.channel))
                 for h in self.meetings if shown.get(h.channel) != MEMBERS}  # fmt: skip
        refused = collections.Counter(o["code"] for o in self.town.find("outcomes") if o["status"] == "refused")
        dead = self.stack.bus.stream("DEADLETTERS")["state"]["messages"]
        waiting = self.stack.bus.stream("EVENTS")["state"]["messages"]
        return (f"(shown, in its document, stored) of {len(wrong)} meetings: {wrong}; refused: {dict(refused)}; "
                f"{dead} dead letters; {waiting} events wait")  # fmt: skip

    def check_conflicts(self):
        for inbox in self.conflict_inboxes:
            told = inbox.wait_push(1, 30, type_="event.outcome")[0]["payload"]
            assert told["code"] == "id_conflict", told
        assert len(self.other.find("checkins")) == MEMBERS
        assert self.twin.get()["present"] == MEMBERS

    def report(self):
        lines = [f"machine: {os.cpu_count()} cores, {platform.machine()}, {platform.system()} {platform.release()}"]
        lines += [f"{name}: {value}" for name, value in self.figures.items()]
        return "\n".join(lines)


class Comer:
    """A reader of all threads that hangs up and resumes, again and again."""

    def __init__(self, run):
        self.run_, self.phones, self.reconnects = run, [], 0
        self._stay(dict.fromkeys(run.thread_channels(), BEGINNING))

    def _stay(self, positions):
        phone = self.run_.stack.phone(self.run_.town.person("comer"), subscribe=list(positions.items()))
        for result in phone.welcome["subscribed"]:
            resumed = positions[result["channel"]] is not BEGINNING
            assert not resumed or result["ok"].get("recovered"), result
        self.phones.append(phone)

    def run(self):
        while not self.run_.over.is_set():
            phone = self.phones[-1]
            due = int(self.run_.posts_count * (self.reconnects + 1) / (RECONNECTS + 1))
            phone.read_more(due - self.total() + len(phone.pushes))
            if self.reconnects < RECONNECTS and self.total() >= due:
                positions = {c: phone.position(c) for c in self.run_.thread_channels()}
                phone.close()
                self.reconnects += 1
                self._stay(positions)
            else:
                phone.read_for(0.1)
                phone.send({"ping": {}})

    def pushes(self):
        return [push for phone in self.phones for push in phone.pushes]

    def total(self):
        return sum(len(phone.pushes) for phone in self.phones)


def sequences_by_channel(pushes):
    """In the order of arrival, not sorted."""
    found = collections.defaultdict(list)
    for push in pushes:
        found[push["channel"]].append(int(push["payload"]["sequence"]))
    return dict(found)


def difference(got, expected):
    for channel, sequences in expected.items():
        if got.get(channel) != sequences:
            have = got.get(channel, [])
            return (f"{channel}: {len(have)} of {len(sequences)}, missing {sorted(set(sequences) - set(have))[:5]}, "
                    f"too many {sorted(set(have) - set(sequences))[:5]}, sorted: {have == sorted(have)}")  # fmt: skip
    return f"unexpected channels {set(got) - set(expected)}"


def guarded(work, failures):
    try:
        work()
    except BaseException as failure:  # noqa: BLE001  (told by the main thread)
        failures.append(failure)


def main(folder=None, scale=None):
    scale = float(os.environ.get("YZ_LOAD_SCALE", "1")) if scale is None else scale
    stack = Stack(folder, **SETTINGS).start()
    with contextlib.ExitStack() as ending:
        ending.callback(stack.end)
        run = Run(stack, scale)
        try:
            run.go()
            run.check()
        except BaseException:
            for line in stack.logs():
                print(*line, sep="\n")
            raise
        finally:
            print(run.report())
            if hasattr(run, "over"):
                run.over.set()
    return run


if __name__ == "__main__":
    main()
