"""Several gateway processes on one port, and several gateways on one NATS: they behave as one.

    spread      the kernel deals new connections out to the processes' own listening sockets
    bus         each process subscribes to a channel once, however many sessions of it are in there
    death       a process takes only its own sessions with it, and its supervisor starts it again
"""

import collections
import os
import pathlib
import re
import signal

import pytest

from people import new_id
from phone import Closed
from stack import Town
from waiting import until

PROCESSES = 2
SETTINGS = {"processes": PROCESSES, "gateways": 2}
CHANNEL = "thread.g1/c1/b1.t1"
PHONES = 64
LEAST = 12  # of 64 fair coins: fewer heads come up once in ten million times


def post(text, thread="t1"):
    return {"orgPath": "g1/c1/b1", "threadId": thread, "messageId": new_id("x"), "text": text}


def texts(phone, channel=CHANNEL):
    return [p["payload"]["text"] for p in phone.of(channel, "thread.post")]


def sessions(stack, gateway=0):
    """Of each process."""
    return [int(stack.metric(stack.gateways[gateway], "yizhan_gateway_sessions", n)) for n in range(PROCESSES)]


def phones_of_each(town, count, gateway=0, **options):
    """At least `count` phones in each process of the gateway: a list for each."""
    found = [[] for _ in range(PROCESSES)]
    for n in range(40 * count):
        before = sessions(town.stack, gateway)
        phone = town.phone(town.person(f"p{gateway}x{n}"), gateway=gateway, **options)
        after = sessions(town.stack, gateway)
        found[next(i for i in range(PROCESSES) if after[i] > before[i])].append(phone)
        if all(len(phones) >= count for phones in found):
            return found
    raise AssertionError(f"one process takes nothing: {[len(phones) for phones in found]}")


def children(gateway):
    """Process ids by number, as the supervisor's log tells the last start of each."""
    started = re.findall(r"event=process_started number=(\d+) child=(\d+)", gateway.text())
    return {int(number): int(pid) for number, pid in started}


def alive(pid):
    """There, and not a zombie that nobody has fetched yet."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def idle_stack(stack):
    """All sessions of the tests before are gone."""
    until(lambda: sessions(stack, 0) + sessions(stack, 1) == [0] * PROCESSES * 2, what="no session is left")
    return stack


def test_connections_are_spread_over_the_processes(idle_stack, town):
    for _ in range(PHONES):
        town.stack.connect()
    until(lambda: sum(sessions(town.stack)) == PHONES, what="all are counted")
    assert min(sessions(town.stack)) >= LEAST, sessions(town.stack)


def test_posts_of_both_reach_the_viewers_of_both_in_order(idle_stack, town):
    viewers = [phone for gateway in (0, 1) for each in phones_of_each(town, 2, gateway, subscribe=[CHANNEL]) for phone in each]
    posters = [each[0] for gateway in (0, 1) for each in phones_of_each(town, 1, gateway)]
    accepted = [posters[n % len(posters)].emit("thread.posted", post(f"p{n}"))["sequence"] for n in range(40)]
    assert accepted == sorted(set(accepted))
    for viewer in viewers:
        viewer.wait_push(40, channel=CHANNEL)
        assert texts(viewer) == [f"p{n}" for n in range(40)]


def test_what_was_missed_at_one_gateway_comes_from_the_other(town, encoding):
    poster = town.phone(town.person("m1"), gateway=1)
    viewer = town.phone(town.person("m2"), subscribe=[CHANNEL], gateway=0, encoding=encoding)
    poster.done("thread.posted", post("seen"))
    viewer.wait_push(1, channel=CHANNEL)
    position = viewer.position(CHANNEL)
    viewer.close()
    for n in range(5):
        poster.done("thread.posted", post(f"missed{n}"))
    back = town.phone(town.person("m2"), subscribe=[(CHANNEL, position)], gateway=1, encoding=encoding)
    assert back.welcome["subscribed"][0]["ok"]["recovered"]
    poster.done("thread.posted", post("live"))
    back.wait_push(6, channel=CHANNEL)
    assert texts(back) == [f"missed{n}" for n in range(5)] + ["live"]


def channel_subjects(stack, tenant):
    """How often each subject of the tenant's channels is subscribed, for each connection of a gateway's process."""
    return [collections.Counter(s for s in subjects if f".{tenant}." in s and s.startswith("live."))
            for subjects in stack.bus_connections("yz-gateway")]  # fmt: skip


def holders(stack, tenant):
    """Connections that subscribe to a channel of the tenant."""
    return len([subjects for subjects in channel_subjects(stack, tenant) if subjects])


def test_each_process_subscribes_once_for_all_its_sessions(idle_stack, town):
    stack = town.stack
    until(lambda: not any(s.startswith("live.thr.") for each in stack.bus_connections("yz-gateway") for s in each),
          what="the threads of the tests before are left")  # fmt: skip
    revocations = [s for each in stack.bus_connections("yz-gateway") for s in each if s.endswith(".auth.revoked.>")]
    assert len(revocations) == 2 * PROCESSES, "once in each process"
    before = sorted(len(subjects) for subjects in stack.bus_connections("yz-gateway"))
    first, second = phones_of_each(town, 3, subscribe=[CHANNEL])
    until(lambda: holders(stack, town.name) == PROCESSES, what="both processes of this gateway, none of the other")
    for subjects in channel_subjects(stack, town.name):
        assert set(subjects.values()) <= {1}, f"once for all sessions: {subjects}"
    once = max(channel_subjects(stack, town.name), key=len)
    assert any(subject.startswith("live.thr.") for subject in once)
    first[0].subscribe("thread.g1/c1/b1.t2")
    first[1].subscribe("thread.g1/c1/b1.t2")
    until(lambda: sorted(map(len, channel_subjects(stack, town.name)))[-2:] == [len(once), 2 * len(once)],
          what="the second channel is the first process's alone")  # fmt: skip
    first[0].unsubscribe("thread.g1/c1/b1.t2")
    for phone in first[2:] + second[1:]:
        phone.close()
    town.phone(town.person("m1")).emit("thread.posted", post("still here"))
    for phone in first[:2] + second[:1]:
        phone.wait_push(1, channel=CHANNEL)
    for phone in second:
        phone.close()
    until(lambda: holders(stack, town.name) == 1, what="the second process has left the channel")
    for phone in first:
        phone.close()
    until(lambda: holders(stack, town.name) == 0, what="nobody is subscribed")
    until(lambda: sorted(len(s) for s in stack.bus_connections("yz-gateway")) == before, what="as it was before")


def test_a_killed_process_takes_only_its_own_sessions(town):
    gateway = town.stack.gateways[0]
    doomed, spared = phones_of_each(town, 3, subscribe=[CHANNEL])
    poster = town.phone(town.person("m1"), gateway=1)
    poster.done("thread.posted", post("before"))
    for phone in doomed + spared:
        phone.wait_push(1, channel=CHANNEL)
    pids = children(gateway)
    os.kill(pids[0], signal.SIGKILL)
    for phone in doomed:
        with pytest.raises(Closed):
            phone.read_for(15)
    poster.done("thread.posted", post("between"))
    for phone in spared:
        phone.wait_push(2, channel=CHANNEL)
        assert texts(phone) == ["before", "between"]
    until(lambda: children(gateway)[0] != pids[0], what="the supervisor starts it again")
    assert children(gateway)[1] == pids[1]
    assert re.search(rf"event=process_ended number=0 child={pids[0]} exit=-1 signal=9", gateway.text())
    town.stack.wait_ready(gateway)
    back = [town.phone(town.person("m2"), subscribe=[(CHANNEL, phone.position(CHANNEL))]) for phone in doomed]
    for phone in back:
        phone.wait_push(1, channel=CHANNEL)
        assert texts(phone) == ["between"]
    # The new process takes its share again.
    phones_of_each(town, 1)


def test_the_children_end_with_their_supervisor(new_stack):
    stack = new_stack(processes=PROCESSES, gateways=2)
    for end, gateway in zip(("terminate", "kill"), stack.gateways, strict=True):
        pids = children(gateway)
        assert len(pids) == PROCESSES and all(alive(pid) for pid in pids.values())
        if end == "terminate":
            assert gateway.terminate() == 0
            assert not any(alive(pid) for pid in pids.values())
        else:
            gateway.kill()
            until(lambda: not any(alive(pid) for pid in pids.values()), what="orphans end by themselves")  # noqa: B023


def test_an_end_that_each_process_is_told_of_is_one_end(new_stack):
    """As of systemd, or of a terminal's Ctrl-C: the supervisor passes on what its children were told already."""
    stack = new_stack(processes=PROCESSES)
    town = Town(stack)
    phones = [phone for each in phones_of_each(town, 3) for phone in each]
    gateway = stack.gateways[0]
    for pid in [*children(gateway).values(), gateway.pid]:
        os.kill(pid, signal.SIGTERM)
    for phone in phones:
        code, closing = phone.wait_closed()
        assert (code, closing["code"]) == (3000, "going_away")
    assert gateway.wait() == 0


def test_a_process_that_cannot_start_ends_them_all(new_stack):
    """The supervisor does not start again what says that its settings cannot work."""
    stack = new_stack(processes=PROCESSES)
    gateway = stack.gateways[0]
    assert gateway.terminate() == 0
    stack.start_gateway(gateway, ready=False, keys_dir=stack.folder / "nowhere")
    assert gateway.wait() == 2
