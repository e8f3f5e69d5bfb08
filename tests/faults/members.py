"""What members and secretaries do in a run: events of every kind, each sent until it is accepted, many of them twice.

Two tenants with the same members, ids, threads and meetings, so that whatever forgets the tenant shows. All that is drawn
by chance comes from streams of its own (`stream`), so that a seed always makes the same load.
"""

import asyncio
import base64
import collections
import dataclasses
import random
import threading

from meeting import rfc3339
from people import Person, checkin_code, code_slot
from phones import BEGINNING, FRESH, RESTLESS, SLOW, STEADY, Phone
from session import Lost, Refused

COMPANY, BRANCHES = "g1/c1", ("g1/c1/b1", "g1/c1/b2")
PERIOD_S = 30
THREADS = 3  # of a branch
UNDER_WAY = 10  # events of one member; more wait until these are accepted
ACT_S = 0.8  # mean time between two acts of a member
NOTICE_S = 4
MEETING_S = (5, 14)
LEAVE_S = 10
MEETINGS_HELD = 3  # the newest ones, whose channels a phone keeps
HABITS = (STEADY, RESTLESS, STEADY, FRESH, STEADY, RESTLESS, SLOW, STEADY)


def stream(*names):
    """A stream of random numbers of its own for whatever bears these names."""
    return random.Random("/".join(map(str, names)))


@dataclasses.dataclass
class Gathering:
    """A meeting, as all who have heard of it know it."""

    path: str
    id: str
    roster: list
    key: bytes = b""
    closed: bool = False
    last_slot: int = 0  # of the code on the screen when it was closed

    @property
    def named(self):
        return {"orgPath": self.path, "meetingId": self.id}


class Tenant:
    def __init__(self, name):
        self.name = name
        self.members, self.meetings, self.notices = [], [], []
        self.twin = None  # the other tenant


class Member:
    """Acts by itself until the crowd stops. Events go out by whichever of the member's phones is connected."""

    def __init__(self, crowd, tenant, person):
        self.crowd, self.tenant, self.person, self.ledger = crowd, tenant, person, crowd.ledger
        self.rng = stream(crowd.seed, "member", tenant.name, person.member)
        self.phones = []
        self.under_way = asyncio.Semaphore(UNDER_WAY)
        self._numbers = 0
        self._attempts = {}  # event id: copies sent
        self._checked_in = set()

    # sending

    def new_id(self):
        self._numbers += 1
        return f"{self.person.member}-{self._numbers}"

    async def _session(self):
        """Of any phone that is connected now."""
        while True:
            ready = [p.session for p in self.phones if p.session and not p.session.asked and not p.pausing]
            if ready:
                return self.rng.choice(ready)
            await asyncio.sleep(0.05)

    async def deliver(self, event):
        """Send it until it is accepted, and return the Accepted; None when it was refused at once."""
        event_id = event["eventId"]
        while True:
            session = await self._session()
            attempt = self._attempts[event_id] = self._attempts.get(event_id, 0) + 1
            noted = self._noting(session, event, attempt)
            try:
                return (await session.ask({"emit": event}, noted))["accepted"]
            except Lost:
                await asyncio.sleep(self.rng.uniform(0.05, 0.5))
            except Refused as refused:
                if not refused.temporary:
                    return None
                await asyncio.sleep(refused.error.get("retryAfterMs", 200) / 1000 * self.rng.uniform(1, 1.5))

    def _noting(self, session, event, attempt):
        def write(frame):
            self.ledger.write("emit", session=session.name, tenant=self.person.tenant, member=self.person.member,
                              event=event["eventId"], type=event["type"], payload=event["payload"],
                              attempt=attempt, frame=frame)  # fmt: skip

        return write

    async def ask(self, type_, payload, sequence=0):
        """A query, asked until it is answered or refused for good; (its reply or None, its session, why it was refused)."""
        body = {"query": {"type": type_, "payload": payload}}
        if sequence:
            body["query"]["minSequence"] = str(sequence)
        while True:
            session = await self._session()
            try:
                return (await session.ask(body))["queryResult"]["payload"], session, ""
            except Lost:
                await asyncio.sleep(self.rng.uniform(0.1, 0.6))
            except Refused as refused:
                if not refused.temporary:
                    return None, session, refused.error.get("code", "")
                await asyncio.sleep(refused.error.get("retryAfterMs", 500) / 1000)

    async def errand(self, event):
        """An event's whole story: until it is accepted, and what is done with it afterwards."""
        async with self.under_way:
            accepted = await self.deliver(event)
            if accepted is None:
                return
            draw, late = self.rng.random(), self.rng.random() < 0.5
            if draw < 0.40 and late:
                await asyncio.sleep(self.crowd.window_s + self.rng.uniform(0.2, 1.0))
            if draw < 0.27:
                await self.deliver(event)
            elif draw < 0.34:
                await self.deliver({**event, "payload": self._other_payload(event)})
            elif draw < 0.40:
                await self.borrow(event["eventId"])
            elif draw < 0.55:
                await self._ask_outcome(event, accepted)

    def _other_payload(self, event):
        """For a conflict on purpose: what the type allows, but not what was sent before."""
        payload = dict(event["payload"])
        if event["type"] == "thread.posted":
            payload["text"] += " (changed)"
        elif event["type"] in ("notice.published", "meeting.convened"):
            payload["title"] += "改"
        elif event["type"] == "checkin.recorded":
            payload["method"] = "CODE" if payload["method"] == "OFFLINE" else "OFFLINE"
        elif event["type"] == "notice.read":
            payload["noticeId"] += "-other"
        else:
            payload["meetingId"] += "-other"
        return payload

    async def borrow(self, event_id):
        """Another member of the branch uses the same id for something of its own: no business of the first."""
        others = [m for m in self.tenant.members if m is not self and m.person.path == self.person.path]
        borrower = self.rng.choice(others)
        if event_id not in borrower._attempts:
            await borrower.deliver(borrower.post(event_id))

    async def _ask_outcome(self, event, accepted):
        reply, session, code = await self.ask("event.outcome", {"eventId": event["eventId"]}, int(accepted["sequence"]))
        told = reply["outcome"] if reply else {"code": code}
        self.ledger.write("outcome", session=session.name, event=event["eventId"], status=told.get("status", ""),
                          code=told.get("code", ""), sequence=int(told.get("sequence", 0)))  # fmt: skip

    # acting

    async def live(self):
        while not self.crowd.stopping:
            await asyncio.sleep(self.rng.expovariate(1 / ACT_S))
            if not self.crowd.stopping and not self.under_way.locked():
                event = self.act()
                self.crowd.spawn(self.errand(event))
                if event["eventId"].startswith("w-"):
                    self.crowd.spawn(self.twin().errand(event))

    def twin(self):
        """The namesake in the other tenant."""
        return next(m for m in self.tenant.twin.members if m.person.member == self.person.member)

    def act(self):
        draw = self.rng.random()
        if draw < 0.40:
            return self.post()
        if draw < 0.48:
            return self.post(f"w-{self.person.tenant}-{self.new_id()}")
        if draw < 0.68:
            return self.read()
        if draw < 0.96 and self.tenant.meetings:
            return self.check_in()
        return {"eventId": self.new_id(), "type": "thread.posted", "payload": {"orgPath": self.person.path}}

    def post(self, event_id=None):
        event_id = event_id or self.new_id()
        path = self.person.path if self.rng.random() < 0.9 else COMPANY
        length = self.rng.choice((1, 10, 10, 10, 40, 300))
        return {"eventId": event_id, "type": "thread.posted",
                "payload": {"orgPath": path, "threadId": f"t{self.rng.randrange(THREADS)}",
                            # now and then a message id that was used: already_posted
                            "messageId": f"x-{event_id}" if self.rng.random() < 0.95 else "x-again",
                            "text": f"{event_id} " + "讨论" * length}}  # fmt: skip

    def read(self):
        known = self.tenant.notices
        notice = self.rng.choice(known[-8:]) if known and self.rng.random() < 0.9 else "n-nowhere"
        return {"eventId": self.new_id(), "type": "notice.read", "payload": {"noticeId": notice}}

    def check_in(self):
        """Mostly once to each meeting; sometimes again, or to one whose roster one is not on, or too late."""
        recent = self.tenant.meetings[-2 * MEETINGS_HELD :]
        fit = [g for g in recent if self.person.member in g.roster and g.id not in self._checked_in]
        gathering = self.rng.choice(fit) if fit and self.rng.random() < 0.8 else self.rng.choice(recent)
        self._checked_in.add(gathering.id)
        slot = gathering.last_slot if gathering.closed else code_slot(PERIOD_S)
        method = "OFFLINE" if gathering.closed or self.rng.random() < 0.3 else "CODE"
        key = gathering.key if self.rng.random() < 0.95 else b"x" * 32
        code = checkin_code(key, self.person.tenant, gathering.path, gathering.id, slot, self.rng.randbytes(8))
        return {"eventId": self.new_id(), "type": "checkin.recorded",
                "payload": {**gathering.named, "method": method, "code": code}}  # fmt: skip


class Secretary(Member):
    """Of one branch: publishes notices, convenes, opens and closes meetings."""

    async def live(self):
        await asyncio.gather(self._publish(), self._hold_meetings())

    async def _publish(self):
        while not self.crowd.stopping:
            await asyncio.sleep(self.rng.expovariate(1 / NOTICE_S))
            event_id = self.new_id()
            # The same notice id once more, now and then: `exists`.
            again = self.tenant.notices and self.rng.random() < 0.1
            notice = self.rng.choice(self.tenant.notices) if again else f"n-{event_id}"
            event = {"eventId": event_id, "type": "notice.published",
                     "payload": {"noticeId": notice, "orgPath": self.rng.choice((self.person.path, COMPANY)),
                                 "noticeClass": "INFO", "title": f"通知 {event_id}", "body": "正文" * 20}}  # fmt: skip
            if not again:
                self.tenant.notices.append(notice)
            self.crowd.spawn(self.errand(event))

    def _event(self, type_, payload):
        return {"eventId": self.new_id(), "type": type_, "payload": payload}

    async def _hold_meetings(self):
        while not self.crowd.stopping:
            await asyncio.sleep(self.rng.uniform(0.5, 3))
            await self._hold_meeting()

    async def _hold_meeting(self):
        branch = [m.person.member for m in self.tenant.members if m.person.path == self.person.path]
        roster = self.rng.sample(branch, self.rng.randint(2, len(branch)))
        gathering = Gathering(self.person.path, f"g-{self.new_id()}", sorted(roster))
        convened = self._event("meeting.convened", self._announcement(gathering))
        accepted = await self.deliver(convened)
        self.crowd.spawn(self.errand(convened))
        if self.rng.random() < 0.3:
            self.crowd.spawn(self.errand(self._event("meeting.convened", self._announcement(gathering))))
        await self._step("meeting.opened", gathering)
        reply, _, _ = await self.ask("meeting.code_key", gathering.named, int(accepted["sequence"]))
        if reply:
            gathering.key = base64.b64decode(reply["key"])
            self.tenant.meetings.append(gathering)
        await asyncio.sleep(self.rng.uniform(*MEETING_S))
        gathering.last_slot = code_slot(PERIOD_S)
        gathering.closed = True
        await self._step("meeting.closed", gathering)

    async def _step(self, type_, gathering):
        """Accepted before the next one goes out: one meeting's events stay in their order."""
        event = self._event(type_, gathering.named)
        await self.deliver(event)
        self.crowd.spawn(self.errand(event))
        if self.rng.random() < 0.3:  # once more with another id: refused
            self.crowd.spawn(self.errand(self._event(type_, gathering.named)))

    def _announcement(self, gathering):
        return {**gathering.named, "kind": "ASSEMBLY", "title": f"支部党员大会 {gathering.id}", "place": "三楼会议室",
                "startsAt": rfc3339(-60), "endsAt": rfc3339(3540), "roster": gathering.roster,
                "codePeriodS": PERIOD_S}  # fmt: skip


class Crowd:
    """All members of both tenants, in one asyncio loop on a thread of its own.

    Lifetime: start, stop (no new events), settled until True, leave. Thread: any, unless said otherwise."""

    def __init__(self, world, ledger, seed, members=16, window_s=3.0):
        self.world, self.ledger, self.seed, self.window_s = world, ledger, seed, window_s
        self.stopping = False
        self.failures = []
        self.never_opened = collections.Counter()  # connections without a welcome, by reason
        self.sent_away = collections.Counter()  # closes that forbid coming back by itself, by code
        self.members, self.phones = [], []
        self._tasks, self._living = set(), []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="crowd", daemon=True)
        tenants = Tenant("east"), Tenant("west")
        for tenant, twin in (tenants, tenants[::-1]):
            tenant.twin = twin
            self._settle(tenant, members)

    def _settle(self, tenant, members):
        for number in range(members):
            path = BRANCHES[number % len(BRANCHES)]
            member = Member(self, tenant, Person(tenant.name, f"m{number}", path))
            tenant.members.append(member)
            self._equip(member, number, 2 if number % 3 == 0 else 1)
        for number, path in enumerate(BRANCHES):
            roles = ("member", f"secretary@{COMPANY}")
            secretary = Secretary(self, tenant, Person(tenant.name, f"sec{number}", path, roles))
            self._equip(secretary, number, 1)

    def _equip(self, member, number, phones):
        self.members.append(member)
        for n in range(phones):
            device = f"{member.tenant.name}-{member.person.member}-{n}"
            rng = stream(self.seed, "phone", device)
            encoding = ("json", "protobuf")[(number + n) % 2]
            phone = Phone(self, member.person, device, rng, encoding, HABITS[(number + 3 * n) % len(HABITS)])
            phone.tenant = member.tenant
            for channel in self._channels(member.person, number + n):
                phone.want(channel, rng.choice((BEGINNING, None)) if "thread" in channel else BEGINNING)
            member.phones.append(phone)
            self.phones.append(phone)

    def _channels(self, person, number):
        """The inbox for all; then the rest spread, so that a post has a handful of readers."""
        yield f"member.{person.member}"
        yield f"org.{person.path}"
        if number % 3 == 0:
            yield f"org.{COMPANY}"
            yield f"thread.{COMPANY}.t0"
        yield f"thread.{person.path}.t{number % THREADS}"

    # used by members and phones, in the loop

    def spawn(self, coroutine):
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task):
        self._tasks.discard(task)
        if not task.cancelled() and task.exception():
            self.failed(task.exception())

    def failed(self, failure):
        self.failures.append(failure)

    def token(self, person):
        return self.world.keys.token(person, lifetime_s=86400)

    def gateway(self, rng):
        number = rng.randrange(len(self.world.gateways))
        return number, self.world.url(number)

    def not_opened(self, failure):
        self.never_opened[getattr(failure, "code", "no connection")] += 1

    def told_off(self, closing):
        self.sent_away[closing.get("code", "")] += 1

    def saw(self, phone, push):
        """A phone holds the channels of the newest meetings that it was told of."""
        if push["type"] != "meeting.announced":
            return
        named = push["payload"]
        channel = f"meeting.{named['orgPath']}.{named['meetingId']}"
        if channel in phone.places:
            return
        phone.want(channel)
        meetings = [c for c in phone.wanted if c.startswith("meeting.")]
        for old in meetings[:-MEETINGS_HELD]:
            phone.unwant(old)

    # used from outside

    def start(self):
        self._thread.start()
        self._call(self._start())

    async def _start(self):
        for phone in self.phones:
            self.spawn(phone.run())
        self._living = [asyncio.ensure_future(member.live()) for member in self.members]
        for task in self._living:
            task.add_done_callback(self._done)

    def _call(self, coroutine, timeout=30):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout)

    def stop(self):
        """No new events; those under way go on until they are accepted."""
        self.stopping = True

    def under_way(self):
        """Members still at it, and errands without their end."""
        return sum(not task.done() for task in self._living) + len(self._tasks) - len(self.phones)

    def disconnected(self):
        return [phone.device for phone in self.phones if not phone.session]

    def places(self):
        """(phone, channel, its position) of all that is wanted now."""
        return [(p, c, p.places.get(c)) for p in self.phones for c in list(p.wanted)]

    def leave(self):
        """Every phone hangs up; then the loop ends."""

        async def leave():
            self.stopping = True
            for phone in self.phones:
                phone.leave()
            await asyncio.wait(list(self._tasks) + self._living, timeout=LEAVE_S)
            left = asyncio.all_tasks() - {asyncio.current_task()}
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

        self._call(leave())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
