"""One run with faults: a crowd at work, a seeded schedule of harm, time to settle, and the question whether all is right."""

import contextlib
import json
import pathlib
import random
import shutil
import time
import traceback

import checker
import figures
import sanitizers
import schedule
import snapshot
from kinds import KINDS
from ledger import Ledger, read
from members import Crowd
from sampler import Sampler
from waiting import TooLate, until
from world import World

WINDOW_MS = 3000
STILL_S = 150  # without any progress once the faults are over: it will not settle
LOG_LINES = 8  # of each process, below a failure
WHY_CHARS = 400  # of the verdict's line
REPLICAS_S = 60  # for replicas that were away
LEVEL_S = 30  # for the last pushes: longer than a gateway needs to find one that was lost
EVENTFUL_S = 30  # a run of so long has something of everything
EVENTS = ("thread.posted", "notice.published", "notice.read", "meeting.convened", "meeting.opened", "meeting.closed",
          "checkin.recorded")  # fmt: skip
SETTINGS = {"duplicate_window_ms": WINDOW_MS, "code_grace_ms": 60000}


class Run:
    def __init__(self, folder, seed, minutes=3.0, cluster=None, only=(), members=16, say=print):
        self.folder, self.seed, self.seconds, self._say = pathlib.Path(folder), seed, minutes * 60, say
        self.cluster = schedule.is_cluster(seed) if cluster is None else cluster
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ledger = Ledger(self.folder / "ledger.jsonl")
        self.world = World(self.folder / "world", random.Random(f"{seed}/world"), cluster=self.cluster, **SETTINGS)
        self.ledger.write("run", settings={k: str(v) for k, v in self.world.settings.items()}, seed=str(seed),
                          sanitized=sanitizers.built_in())  # fmt: skip
        self.world.tenants = ["east", "west"]  # what is made by hand mixes with the crowd's
        self.steps = schedule.plan(seed, self.seconds, KINDS, self.world, only)
        self.crowd = Crowd(self.world, self.ledger, seed, members, WINDOW_MS / 1000)
        self.sampler = Sampler(self.world, self.ledger)
        self.violations = []

    def say(self, text):
        """To whoever watches, and into the run's folder."""
        with open(self.folder / "report.txt", "a", encoding="utf-8") as report:
            report.write(text + "\n")
        self._say(text)

    def go(self):
        """Everything up to the snapshot; what goes wrong here is an exception."""
        with contextlib.ExitStack() as ending:
            ending.callback(self.ledger.close)
            ending.callback(self.world.stop)
            self.say(f"seed {self.seed}: {len(self.steps)} faults in {self.seconds:.0f} s on "
                     f"{'a cluster of three NATS servers' if self.cluster else 'one NATS server'}")  # fmt: skip
            for name, why in sorted(schedule.left_out(KINDS, self.world).items()):
                self.say(f"LEFT OUT: {name} {why}")
            self.world.start()
            self.sampler.start()
            ending.callback(self.sampler.stop)
            self.crowd.start()
            try:
                self.inject()
                self.settle()
                self.ledger.write("end")
            finally:
                self.crowd.leave()
            assert not self.crowd.failures, f"the phones themselves failed: {self.crowd.failures[:3]!r}"
            snapshot.write(snapshot.take(self.world), self.folder / "snapshot.json")
        self.world.check()

    # faults

    def inject(self):
        """Begin and end each step at its time; whatever happens, what was begun is ended."""
        began = time.monotonic()
        deeds = [(step.at_s, False, step) for step in self.steps] + [(step.end_s, True, step) for step in self.steps]
        begun = {}
        try:
            for at_s, is_end, step in sorted(deeds, key=lambda deed: deed[0]):  # a begin stays before its own end
                self._pass_until(began + at_s)
                if not is_end:
                    began += self._await_replicas(step)  # all that follows is later by so much
                if is_end:
                    self._end(begun.pop(step.number))
                else:
                    begun[step.number] = step
                    self._begin(step)
            self._pass_until(began + self.seconds)
        finally:
            for step in begun.values():
                self._end(step)

    def _pass_until(self, moment):
        """The run's own time goes by; a dead crowd ends it at once."""
        while time.monotonic() < moment:
            assert not self.crowd.failures, f"the phones themselves failed: {self.crowd.failures[:3]!r}"
            time.sleep(min(0.2, max(0.0, moment - time.monotonic())))

    def _await_replicas(self, step):
        """Before a fault that takes a replica away: those of the fault before are back and level, or two of three were away.
        Seconds that this took."""
        since = time.monotonic()
        while KINDS[step.kind].lone and time.monotonic() - since < REPLICAS_S and self.world.replicas_behind():
            self._pass_until(time.monotonic() + 0.5)
        return time.monotonic() - since

    def _begin(self, step):
        kind = KINDS[step.kind]
        detail = kind.begin(self.world, step.target, random.Random(step.seed)) or {}
        self.ledger.write("fault", name=step.kind, target=step.target, phase="begin", detail=detail)
        shown = json.dumps(detail, ensure_ascii=False)
        self.say(f"{self.ledger.seconds():6.1f} s  {step.kind} on {step.target} for {step.hold_s:.1f} s  {shown[:120]}")

    def _end(self, step):
        KINDS[step.kind].end(self.world, step.target)
        self.ledger.write("fault", name=step.kind, target=step.target, phase="end", detail={})

    # afterwards

    def settle(self):
        """No new events; all under way are accepted; all is calm; every phone is back and has the last push."""
        self.say(f"{self.ledger.seconds():6.1f} s  the faults are over; waiting until all is settled")
        self.crowd.stop()
        self._wait(lambda: self.crowd.under_way() == 0, lambda: f"{self.crowd.under_way()} members are still at it")
        self._stage("all that was under way is accepted")
        self._wait_calm()
        self._wait(lambda: not self.crowd.disconnected(), lambda: f"not connected: {self.crowd.disconnected()}")
        self._stage("calm, and every phone is connected")
        try:
            until(self._level, LEVEL_S, 0.5)
            self._stage("every phone has the last push")
        except TooLate:  # what is missing is the checker's to say
            self._stage("a phone lacks a push")
        self._wait_calm()

    def _stage(self, text):
        self.say(f"{self.ledger.seconds():6.1f} s  {text}")

    def _wait_calm(self):
        self._wait(lambda: not self.world.troubles(), lambda: f"not calm: {'; '.join(self.world.troubles())}")

    def _wait(self, done, why):
        """Until done(). Given up when nothing moves any more, and not by the clock: the machine may be slow."""
        last, since = None, time.monotonic()
        while not done():
            now = self.crowd.under_way(), len(self.crowd.disconnected()), self.world.lag()
            if now != last:
                last, since = now, time.monotonic()
            if time.monotonic() - since > STILL_S:
                raise TooLate(f"nothing moved for {STILL_S} s: {why()}")
            time.sleep(0.2)

    def _level(self):
        """Every phone stands at the last push of each of its channels, or has come with it."""
        heads = {}
        for phone, channel, place in self.crowd.places():
            subject = (phone.person.tenant, channel)
            if subject not in heads:
                heads[subject] = self._head(*subject)
            if heads[subject] and (place is None or place.offset < heads[subject]):
                return False
        return True

    def _head(self, tenant, channel):
        """Offset of the channel's last push, 0 while there is none."""
        thread = channel.startswith("thread.")
        stream = "THREADS" if thread else "CHANNELS"
        subject = f"thr.{tenant}.{channel[7:]}" if thread else f"chan.{tenant}.{channel}"
        answer = self.world.bus.api(f"STREAM.MSG.GET.{stream}", {"last_by_subj": subject})
        return answer.get("message", {}).get("seq", 0)

    # judgement

    def check(self):
        """What the checker finds."""
        taken, lines = snapshot.read(self.folder / "snapshot.json"), read(self.folder / "ledger.jsonl")
        self.violations = checker.check(lines, taken)
        if self.seconds >= EVENTFUL_S:
            self.violations += [checker.Violation("-", text, []) for text in idle(lines, [p.device for p in self.crowd.phones])]

    def figures(self):
        lines = read(self.folder / "ledger.jsonl")
        outcomes, given_up = self._outcomes()
        totals = self.sampler.totals
        return {
            **figures.of_ledger(lines),
            **{f"events {status}": outcomes.count(status) for status in ("applied", "refused", "dead_lettered")},
            "given up though nobody poisoned them": given_up,
            "gaps repaired (pushes read again by gateways)": int(totals["yizhan_gateway_pushes_repaired_total"]),
            "partitions taken over": int(totals["yizhan_worker_leases_taken_total"]),
            **{f"most memory, MB: {kind}": max((rss for name, rss in self.sampler.rss_max.items()
                                               if name.startswith(kind)), default=0) >> 20
               for kind in ("gateway", "worker", "nats", "database")},
        }  # fmt: skip

    def _outcomes(self):
        """The status of each, and how many events ended their workers so often that they were set aside: what they were to
        leave is not judged."""
        path = self.folder / "snapshot.json"
        if not path.exists():
            return [], 0
        outcomes = snapshot.read(path)["documents"].get("outcomes", [])
        given_up = [o for o in outcomes if o["code"] == "unprocessable" and not o.get("event_id", "").startswith("poison")]
        return [outcome["status"] for outcome in outcomes], len(given_up)


def idle(lines, devices):
    """What a run lacks that would have been judged: where nothing happens nothing is violated."""
    sent = {(line["session"], line["frame"]): line["type"] for line in lines if line["kind"] == "emit"}
    accepted = {sent[line["session"], line["frame"]] for line in lines if line["kind"] == "accepted"}
    opened = {line["device"] for line in lines if line["kind"] == "open"}
    pushed = {line["session"] for line in lines if line["kind"] == "push"}
    return [
        *(f"no {type_} was accepted" for type_ in EVENTS if type_ not in accepted),
        *(f"phone {device} was never let in" for device in devices if device not in opened),
        *(["no push was delivered"] if not pushed else []),
    ]


def judge(run, keep=False):
    """Run it and say how it went: (whether nothing was violated, its figures). What went wrong stands before everything
    long and again in the last line, so that a report which was cut shows it whichever end is left."""
    failure = None
    try:
        run.go()
        run.check()
    except Exception as error:
        failure = error
    numbers = run.figures()
    why = _why(run.violations, failure)
    if why:
        run.say(f"seed {run.seed} FAILED: {why}")
    run.say(figures.table(numbers))
    if run.violations:
        run.say(f"{len(run.violations)} VIOLATIONS\n{checker.report(run.violations)}")
    if failure:
        for name, text in run.world.logs():
            run.say("\n".join([f"--- {name}", *(line[:200] for line in text.splitlines()[-LOG_LINES:])]))
        run.say("".join(traceback.format_exception(failure)))
    run.say(f"ledger, snapshot, logs: {run.folder}")
    run.say(f"seed {run.seed}: {f'FAILED: {why}' if why else 'passed'}")
    if not why and not keep:
        shutil.rmtree(run.folder)
    return not why, numbers


def _why(violations, failure):
    """In one line, empty: nothing went wrong."""
    if failure:
        return f"{type(failure).__name__}: {str(failure)[:WHY_CHARS]}".replace("\n", " ")
    if violations:
        return f"{len(violations)} violations, the first: {violations[0]}"[:WHY_CHARS].replace("\n", " ")
    return ""
