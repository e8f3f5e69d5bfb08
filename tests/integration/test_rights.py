"""What each user of the bus may do, subject by subject, and that it suffices and is needed.

The table is written by hand from what the programs are for, not read from the file that it judges. That the rights
suffice is what every other test proves: all stacks run under them, and Stack.check_denials ends each.
"""

import json

import pytest
from natswire import NatsWire, Refused
from rights import PROGRAMS
from waiting import until

STREAMS = ("EVENTS", "CHANNELS", "THREADS", "STATE", "DEADLETTERS", "KV_WORKERS", "KV_PARTITIONS")
READABLE = ("CHANNELS", "THREADS", "STATE")
G, W, O = "gateway", "worker", "operator"  # noqa: E741

# Every subject of ours and who may publish there.
OURS = {
    "evt.3.t1.notice.g1/c1": {G, O},
    "evt.3.$own.t1.notice.g1/c1": {W, O},
    "evt": set(),
    "qry.t1.notice.list": {G, O},
    "chan.t1.org.g1": {W},
    "thr.t1.g1.x": {W},
    "state.t1.org.g1.board": {W},
    "state.t1.auth.revoked": {W},
    "dlq.t1.notice": {W},
    "live.chan.t1.org.g1": set(),
    "live.thr.t1.g1.x": set(),
    "live.state.t1.org.g1.board": set(),
    "live.state.t1.auth.revoked": set(),
    "sig.thr.t1.g1.x": {G},
    "sig.chan.t1.org.g1": set(),
    "sig.t1": set(),
    "$KV.WORKERS.w1": {W},
    "$KV.PARTITIONS.p1": {W},
    "$KV.OTHERS.x": set(),
    "_INBOX.x": set(),
    "_INBOX_gateway.x": set(),
    "_INBOX_worker.x": set(),
    "_INBOX_operator.x": set(),
    "adm.ping": {O},
    "adm.other": set(),
    "elsewhere": set(),
}

# JetStream's own interface.
ACCOUNT = {
    "$JS.API.INFO": {O},
    "$JS.API.STREAM.NAMES": set(),
    "$JS.API.STREAM.LIST": set(),
    "$JS.API.META.LEADER.STEPDOWN": set(),
    "$JS.API.SERVER.REMOVE": set(),
    "$JS.API.ACCOUNT.PURGE.$G": set(),
    "$JS.API.ACCOUNT.STREAM.MOVE.$G.EVENTS": set(),
    "$JS.API.STREAM.TEMPLATE.CREATE.x": set(),
    "$JS.API.STREAM.CREATE.OTHERS": {O},
    "$SYS.REQ.SERVER.PING": set(),
    "$SYS.REQ.ACCOUNT.PING": set(),
    "$SYS.REQ.USER.INFO": set(),
    "$SYS.REQ.CLAIMS.UPDATE": set(),
}


def of_stream(name):
    """Every verb on this stream and its consumers, and who may say it."""
    events = name == "EVENTS"
    letters = name == "DEADLETTERS"
    tailed = {O} if name in (*READABLE, "DEADLETTERS") else set()
    watched = {G} if name in READABLE else set()
    looked_up = {W} if name in (*READABLE, "KV_WORKERS", "KV_PARTITIONS") else set()
    pulled = {W} if events else set()
    return {
        f"$JS.API.STREAM.INFO.{name}": {O} | watched | pulled | ({W} if letters else set()),
        f"$JS.API.STREAM.CREATE.{name}": {O},
        f"$JS.API.STREAM.UPDATE.{name}": {O},
        f"$JS.API.STREAM.DELETE.{name}": set(),
        f"$JS.API.STREAM.PURGE.{name}": {O} if events else set(),
        f"$JS.API.STREAM.MSG.GET.{name}": watched | pulled | ({W} if name in ("CHANNELS", "THREADS", "KV_PARTITIONS") else set()),
        f"$JS.API.STREAM.MSG.DELETE.{name}": {O} if letters else set(),
        f"$JS.API.STREAM.SNAPSHOT.{name}": set(),
        f"$JS.API.STREAM.RESTORE.{name}": set(),
        f"$JS.API.STREAM.LEADER.STEPDOWN.{name}": set(),
        f"$JS.API.STREAM.PEER.REMOVE.{name}": set(),
        f"$JS.API.DIRECT.GET.{name}": {O} | watched | looked_up,
        f"$JS.API.DIRECT.GET.{name}.any.subject": set(),
        f"$JS.API.CONSUMER.NAMES.{name}": pulled | ({O} if events else set()),
        f"$JS.API.CONSUMER.LIST.{name}": set(),
        f"$JS.API.CONSUMER.CREATE.{name}": tailed,
        f"$JS.API.CONSUMER.CREATE.{name}.c1": tailed,
        f"$JS.API.CONSUMER.CREATE.{name}.c1.chan.t1.>": tailed,
        f"$JS.API.CONSUMER.DURABLE.CREATE.{name}.c1": pulled,
        f"$JS.API.CONSUMER.DELETE.{name}.c1": tailed | pulled,
        f"$JS.API.CONSUMER.INFO.{name}.c1": pulled,
        f"$JS.API.CONSUMER.MSG.NEXT.{name}.c1": pulled,
        f"$JS.API.CONSUMER.PAUSE.{name}.c1": set(),
        f"$JS.API.CONSUMER.UNPIN.{name}.c1": set(),
        f"$JS.API.CONSUMER.LEADER.STEPDOWN.{name}.c1": set(),
        f"$JS.ACK.{name}.c1.1.1.1.1.0": pulled,
        f"$JS.FC.{name}.c1.x": tailed,
    }


PUBLISH = {**OURS, **ACCOUNT, **{k: v for name in STREAMS for k, v in of_stream(name).items()}}

# (subject, queue group) and who may listen there.
SUBSCRIBE = {
    (">", ""): set(),
    ("*", ""): set(),
    ("evt.>", ""): {O},
    ("evt.3.>", ""): {O},
    ("evt.3.$own.>", ""): {O},
    ("qry.>", ""): set(),
    ("qry.>", "others"): set(),
    ("qry.>", "workers"): {W},
    ("qry.t1.>", "workers"): {W},
    ("chan.>", ""): set(),
    ("thr.>", ""): set(),
    ("state.>", ""): set(),
    ("dlq.>", ""): set(),
    ("live.>", ""): set(),
    ("live.chan.t1.org.g1", ""): {G},
    ("live.thr.t1.g1.x", ""): {G},
    ("live.state.t1.org.g1.>", ""): {G},
    ("live.other", ""): set(),
    ("sig.thr.t1.g1.x", ""): {G},
    ("sig.>", ""): set(),
    ("sig.other", ""): set(),
    ("adm.ping", ""): {G, W},
    ("adm.>", ""): set(),
    ("$KV.WORKERS.>", ""): {W},
    ("$KV.PARTITIONS.>", ""): {W},
    ("$JS.>", ""): set(),
    ("$JS.API.>", ""): set(),
    ("$JS.ACK.>", ""): set(),
    ("$JS.EVENT.>", ""): set(),
    ("$SYS.>", ""): set(),
    ("_INBOX.>", ""): set(),
    ("_INBOX_gateway.>", ""): {G},
    ("_INBOX_worker.>", ""): {W},
    ("_INBOX_operator.>", ""): {O},
    ("_INBOX_gateway.some.reply", ""): {G},
    ("_INBOX_worker.some.reply", ""): {W},
    ("_INBOX_operator.some.reply", ""): {O},
}


@pytest.fixture(scope="module")
def bus(tmp_path_factory):
    """nats-server with its streams and nobody at work, since the table publishes everywhere."""
    from stack import Stack

    running = Stack(tmp_path_factory.mktemp("bus"), workers=0, gateways=0)
    running.denials_expected = True
    running.start()
    yield running
    running.end()


def login(bus, user):
    return NatsWire(bus.nats_port, user, bus.rights.passwords[user])


@pytest.mark.parametrize("user", PROGRAMS)
def test_who_may_publish_where(bus, user):
    with login(bus, user) as wire:
        wrong = {subject: "may" if wire.may_publish(subject) else "may not" for subject, users in PUBLISH.items()
                 if wire.may_publish(subject) != (user in users)}  # fmt: skip
    assert not wrong


@pytest.mark.parametrize("user", PROGRAMS)
def test_who_may_subscribe_where(bus, user):
    with login(bus, user) as wire:
        wrong = {at: "may" if wire.may_subscribe(*at) else "may not" for at, users in SUBSCRIBE.items()
                 if wire.may_subscribe(*at) != (user in users)}  # fmt: skip
    assert not wrong


def test_the_table_has_all_there_is(bus):
    """A stream that is new must be put into the table."""
    found = json.loads(bus.bus.request("$JS.API.STREAM.NAMES").data)["streams"]
    assert set(found) == set(STREAMS)


def test_nobody_comes_in_without_the_right_password(bus):
    for user, password in [(None, None), ("", ""), ("gateway", ""), ("gateway", "wrong"), ("nobody", "x"),
                           ("gateway", bus.rights.passwords["worker"]), ("$G", ""), ("sys", "")]:  # fmt: skip
        with pytest.raises(Refused):
            NatsWire(bus.nats_port, user, password)


def test_a_worker_answers_once_and_only_who_asked(bus):
    with login(bus, "worker") as worker, login(bus, "gateway") as gateway:
        worker.listen("qry.>", "workers")
        assert gateway.may_publish("qry.t1.notice.list", "?", reply="_INBOX_gateway.a.1")
        subject, reply, body = worker.next_message()
        assert (subject, reply, body) == ("qry.t1.notice.list", "_INBOX_gateway.a.1", b"?")
        assert not worker.may_publish("_INBOX_gateway.a.2", "to another")
        assert worker.may_publish(reply, "the answer")
        assert not worker.may_publish(reply, "a second one")


def test_a_gateway_reads_no_event_and_forges_no_push(bus):
    """By effect: nothing that it tries changes a stream or shows it what lies in EVENTS."""
    bus.bus.publish("evt.3.t1.notice.g1", b"what a member sent")
    before = {name: bus.bus.stream(name)["state"] for name in STREAMS}
    with login(bus, "gateway") as wire:
        wire.listen("_INBOX_gateway.>")
        for subject, users in PUBLISH.items():
            if "gateway" not in users:
                wire.may_publish(subject, '{"seq": 1099511627776, "batch": 9}', reply="_INBOX_gateway.loot")
        assert wire.may_publish("$JS.API.STREAM.INFO.STATE", reply="_INBOX_gateway.end")
        assert wire.next_message()[0] == "_INBOX_gateway.end", "the first answer is the one that it may have"
    assert {name: bus.bus.stream(name)["state"] for name in STREAMS} == before


@pytest.mark.parametrize(("name", "user"), [("gateway0", "worker"), ("gateway0", "operator"),
                                            ("worker0", "gateway"), ("worker0", "operator")])  # fmt: skip
def test_a_program_with_anothers_rights_says_so(new_stack, name, user):
    stack = new_stack()
    stack.denials_expected = True
    process = next(p for p in stack.gateways + stack.workers if p.name == name)
    process.terminate()
    start = stack.start_gateway if process in stack.gateways else stack.start_worker
    start(process, ready=False, **stack.rights.of(user))
    until(lambda: "event=nats_denied" in process.text(), 30, what="a line in its log")
    until(lambda: stack.admin(process, "/readyz")[0] == 503, 30)
    until(lambda: "YZ_NATS_USER" in str(stack.admin(process, "/readyz")), 30, what="its readiness names the cause")
    flag = "--gateway-admin" if process in stack.gateways else "--worker-admin"
    told = stack.ctl("doctor", flag, f"http://127.0.0.1:{process.admin_port}", code=1)
    assert "YZ_NATS_USER" in told, told


@pytest.mark.parametrize("what", ["password", "user"])
def test_a_refused_login_is_told(bus, tmp_path, what):
    wrong = tmp_path / "wrong.password"
    wrong.write_text("pwrong\n")
    settings = {"nats_password_file": wrong} if what == "password" else {"nats_user": "nobody"}
    told = bus.ctl("doctor", code=1, **settings)
    assert "YZ_NATS_USER" in told and "YZ_NATS_PASSWORD_FILE" in told, told


def test_yzctl_with_a_gateways_rights_says_so(bus):
    told = bus.ctl("doctor", code=1, **bus.rights.of("gateway"))
    assert "YZ_NATS_USER" in told and "bus_permission" in told, told


def test_all_that_yzctl_does_lies_within_its_rights(new_stack, tmp_path):
    """The commands that no other test runs beside the programs at work."""
    stack = new_stack()
    stack.ctl("apply")
    stack.ctl("epoch", "raise", "CHANNELS")
    until(lambda: stack.bus.stream("EVENTS")["state"]["messages"] == 0, 30)
    stack.ctl("epoch", "raise", "EVENTS")
    stack.bus.publish("chan.t1.org.g1", b"?")
    assert "chan.t1.org.g1" in stack.ctl("tail", "--channels", "--since", "600", "--count", "1")
    stack.bus.publish("evt.7.nobody", b"?")
    until(lambda: stack.bus.messages("DEADLETTERS", "dlq.>"), 30)
    assert "dlq.nobody._" in stack.ctl("tail", "--deadletters", "--since", "600", "--count", "1")
    stack.ctl("query", "notice.list", "--tenant", "t1", "--member", "m1", "--path", "g1", "--role", "member")
    stack.check_denials()
