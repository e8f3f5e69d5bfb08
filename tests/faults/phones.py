"""A member's phone: one connection after another, its places in its channels kept between them."""

import asyncio
import dataclasses

from session import Lost, Place, Refused, Session, place_after, wish

BEGINNING = {"epoch": "", "offset": 0}
WAIT_MAX_S = 4  # the protocol's 30 s, shortened like everything here
OWNER_S = (0.5, 2.0)  # who opens the app again after it was told not to come back by itself
TEND_S = 0.5


@dataclasses.dataclass(frozen=True)
class Habits:
    """What a phone does of its own; seconds between, 0 for never."""

    stays_s: float = 0  # then it hangs up and comes back
    fresh_s: float = 0  # subscribes to one of its channels without `since`
    pauses_s: float = 0  # stops reading for a while
    pause_s: float = 5
    receive_bytes: int = 65536


STEADY = Habits()
RESTLESS = Habits(stays_s=7)
FRESH = Habits(fresh_s=4, stays_s=30)
SLOW = Habits(pauses_s=9, pause_s=6, receive_bytes=4096)


class Phone:
    """Lifetime: run() until the crowd says `leave`. Thread: the crowd's loop."""

    def __init__(self, crowd, person, device, rng, encoding="json", habits=STEADY):
        self.crowd, self.ledger, self.person, self.device = crowd, crowd.ledger, person, device
        self.rng, self.encoding, self.habits = rng, encoding, habits
        self.receive_bytes = habits.receive_bytes
        self.wanted = {}  # channel: since, for the first time
        self.places = {}
        self.session = None  # the open one
        self.pausing = False
        self.leaving = False
        self._failures = 0

    def want(self, channel, since=BEGINNING):
        self.wanted.setdefault(channel, since)

    def unwant(self, channel):
        self.wanted.pop(channel, None)

    def since_of(self, channel):
        place = self.places.get(channel)
        return place.since() if place else self.wanted[channel]

    # told by the session

    def subscribed(self, subscribed, since):
        before = Place(**since) if since else None
        self.places[subscribed["channel"]] = place_after(subscribed, before)

    def pushed(self, channel, offset, push):
        if channel in self.places:
            self.places[channel].pushed(offset)
        self.crowd.saw(self, push)

    async def pause(self):
        while self.pausing and not self.leaving:
            await asyncio.sleep(0.1)

    # its life

    async def run(self):
        while not self.leaving:
            session = Session(self, *self.crowd.gateway(self.rng))
            if await self._open(session):
                self._failures = 0
                tending = asyncio.create_task(self._tend(session))
                await session.over.wait()
                tending.cancel()
                self.session = None
            else:
                self._failures += 1
            if not self.leaving:
                await asyncio.sleep(self._wait_s(session))

    async def _open(self, session):
        token = self.crowd.token(self.person)
        try:
            await session.open(token, [wish(c, self.since_of(c)) for c in self.wanted])
        except (Lost, Refused) as failure:
            self.crowd.not_opened(failure)
            return False
        if self.leaving:
            session.hang_up("the end")
        else:
            self.session = session
        return True

    def _wait_s(self, session):
        told = session.closing
        if told and told.get("reconnect"):
            return self.rng.uniform(int(told.get("reconnectMinMs", 0)), int(told.get("reconnectMaxMs", 0))) / 1000
        if told:
            self.crowd.told_off(told)
            return self.rng.uniform(*OWNER_S)
        return self.rng.uniform(0, min(WAIT_MAX_S, 2**self._failures))

    def leave(self):
        """For good."""
        self.leaving, self.pausing = True, False
        if self.session:
            self.session.hang_up("the end", abruptly=False)

    # what it does while a session is open

    async def _tend(self, session):
        loop, habits = asyncio.get_running_loop(), self.habits
        every = {self._go_away: habits.stays_s, self._begin_anew: habits.fresh_s, self._stop_reading: habits.pauses_s}
        due = {act: loop.time() + self._after(mean_s) for act, mean_s in every.items() if mean_s}
        while not session.over.is_set():
            await self._hold_wanted(session)
            for act in [act for act, at in due.items() if at <= loop.time() and not self.crowd.stopping]:
                due[act] = loop.time() + self._after(every[act])
                await act(session)
            await asyncio.sleep(TEND_S)

    def _after(self, mean_s):
        return self.rng.uniform(0.5, 1.5) * mean_s

    async def _hold_wanted(self, session):
        """Subscribe to what is wanted and not held, leave what is held and not wanted."""
        for channel in [c for c in self.wanted if c not in session.held]:
            await self._quietly(session.subscribe(channel, self.since_of(channel)))
        for channel in [c for c in session.held if c not in self.wanted]:
            await self._quietly(session.unsubscribe(channel))
            self.places.pop(channel, None)

    async def _go_away(self, session):
        session.hang_up("went away", abruptly=self.rng.random() < 0.5)

    async def _begin_anew(self, session):
        if self.wanted:
            await self._quietly(session.subscribe(self.rng.choice(sorted(self.wanted))))

    async def _stop_reading(self, _):
        self.pausing = True
        try:
            await asyncio.sleep(self._after(self.habits.pause_s))
        finally:
            self.pausing = False

    async def _quietly(self, request):
        try:
            await request
        except (Lost, Refused):
            pass  # in the ledger; tried again at the next turn or connection
