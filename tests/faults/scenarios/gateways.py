"""Scenarios about gateways: sessions that stay, come back, come too late, and whose messages get lost on the way."""

from people import new_id
from .run import BRANCH, ORG, THREAD, scenario


@scenario()
def fan_out(run):
    """Nine sessions on two gateways, and posts one by one: each sees each, the last one too."""
    readers = [run.phone(run.person(f"r{n}"), [THREAD, ORG], gateway=n % 2, encoding=("json", "protobuf")[n % 2])
               for n in range(9)]  # fmt: skip
    writer = run.phone(run.person("m1"))
    for number in range(12):
        writer.done(*run.post(writer, number))
    assert readers


@scenario()
def resume(run):
    """Phones that drop out again and again and come back with their positions."""
    reader = run.phone(run.person("r1"), [THREAD], since={})
    writer = run.phone(run.person("m1"))
    for round_ in range(3):
        for number in range(4):
            writer.done(*run.post(writer, f"{round_}-{number}"))
        reader.wait_pushes(8 * round_ + 4, channel=THREAD)
        reader.cut()
        for number in range(4, 8):
            writer.done(*run.post(writer, f"{round_}-{number}"))
        reader.connect([THREAD], gateway=round_ % 2)
        reader.wait_pushes(8 * round_ + 8, channel=THREAD)


@scenario(channel_max_messages=5)
def retention(run):
    """A phone stays away for longer than its inbox remembers."""
    reader = run.phone(run.person("m1"), ["member.m1"], since={})
    watcher = run.phone(run.person("m1"), ["member.m1"], device="watcher")
    first = run.post(reader, 1)
    reader.done(*first)
    reader.done("thread.posted", {**first[1], "text": "again"}, "refused-0")
    reader.wait_pushes(1, channel="member.m1")
    reader.cut()
    for number in range(1, 12):
        watcher.done("thread.posted", {**first[1], "text": "again"}, f"refused-{number}")
    watcher.wait_pushes(12, channel="member.m1")
    reader.connect(["member.m1"], gateway=1)  # where nobody remembers more than the stream does
    reader.wait_pushes(6, channel="member.m1")


@scenario(channel_max_messages=5)
def long_away(run):
    """The same, and its gateway is killed meanwhile and started anew: nobody but the stream knows what there was. Then it is
    away for less long."""
    reader = run.phone(run.person("m1"), ["member.m1"], since={})
    watcher = run.phone(run.person("m1"), ["member.m1"], device="watcher", gateway=1)
    first = run.post(reader, 1)
    reader.done(*first)
    reader.done("thread.posted", {**first[1], "text": "again"}, "refused-0")
    reader.wait_pushes(1, channel="member.m1")
    for round_, (missed, kept) in enumerate(((8, 5), (3, 3))):
        gateway = run.stack.gateways[0]
        run.fault("kill", gateway.name)
        gateway.kill()
        run.until_soon(lambda: reader.over, 5)
        for number in range(missed):
            watcher.done("thread.posted", {**first[1], "text": "again"}, f"refused-{round_}-{number}")
        run.stack.start_gateway(gateway)
        run.fault("kill", gateway.name, "end")
        seen = len(reader.of("member.m1"))
        reader.connect(["member.m1"])
        reader.wait_pushes(seen + kept, channel="member.m1")


@scenario()
def new_epoch(run):
    """The operator raises the epoch: who is there is closed, and nobody's old position counts."""
    stays = run.phone(run.person("r1"), [THREAD, ORG])
    leaves = run.phone(run.person("r2"), [THREAD], gateway=1)
    writer = run.phone(run.person("m1"))
    for number in range(4):
        writer.done(*run.post(writer, number))
    for reader in (stays, leaves):
        reader.wait_pushes(4, channel=THREAD)
    leaves.cut()
    run.fault("epoch", "THREADS")
    run.stack.ctl("epoch", "raise", "THREADS")
    run.fault("epoch", "THREADS", "end")
    writer.done(*run.post(writer, 4))
    run.until_soon(lambda: stays.over, 8)
    leaves.connect([THREAD])
    if stays.over:
        stays.connect([THREAD, ORG])
    writer.done(*run.post(writer, 5))


@scenario(gateways=1)
def outage(run):
    """The bus hangs while events are sent: nobody is told that they are stored, and afterwards they are sent again."""
    phone = run.phone(run.person("m1"), [THREAD])
    phone.done(*run.post(phone, 0))
    run.fault("freeze", "nats")
    run.stack.nats.stop_still()
    frames = [phone.post(*run.post(phone, number)) for number in range(1, 6)]
    for frame in frames:
        run.tolerate(phone.answer, frame)
    run.stack.nats.kill()
    run.stack.nats.start()
    run.stack.wait_nats()
    run.fault("freeze", "nats", "end")
    for number in range(6, 9):
        phone.emit(*run.post(phone, number))


@scenario()
def two_tenants(run):
    """The same names in two tenants: nobody hears of the other."""
    ours = run.phone(run.person("m1"), [THREAD, ORG, "member.m1"])
    theirs = run.phone(run.person("m1", tenant="t2"), [THREAD, ORG, "member.m1"])
    for number in range(3):
        ours.done(*run.post(ours, number, event_id=new_id("e")))
        theirs.done(*run.post(theirs, f"t2-{number}", event_id=new_id("e")))



@scenario()
def revocation(run):
    """Tokens are revoked, twice, and one of them is given back."""
    admin = run.phone(run.person("boss", path="g1", roles=("member", "admin@g1")), ["member.boss"])
    for number, (type_, named) in enumerate((
        ("auth.revoked", {"memberId": "m1"}), ("auth.revoked", {"memberId": "m1", "tokenId": "phone-7"}),
        ("auth.revoked", {"memberId": "m1"}), ("auth.restored", {"memberId": "m1", "tokenId": "phone-7"}),
        ("auth.restored", {"memberId": "m2"}),
    )):  # fmt: skip
        admin.done(type_, {"orgPath": "g1/c1", **named}, f"auth-{number}")


@scenario(gateways=1, audit_interval_ms=10000)
def just_joined(run):
    """The one push of a channel is stored just when somebody has joined it. The regular look is ten seconds away."""
    writer = run.phone(run.person("m1"))
    reader = run.phone(run.person("r1"))
    for number in range(8):
        writer.emit(*run.post(writer, "early", thread=f"j{number}"))
    run.until_soon(run.settled, 15)
    for number in range(8):
        reader.subscribe(f"thread.{BRANCH}.j{number}", since=None)
        writer.post(*run.post(writer, "late", thread=f"j{number}"))
    run.until_soon(lambda: len(reader.pushes) == 8, 5)  # the second read comes a second after the first
    run.level_s = 0
