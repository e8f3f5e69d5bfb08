"""Revoked tokens: void at once on every gateway, in one tenant only, over restarts and cut lines."""

import socket
import threading
import time

import pytest

from people import Person
from phone import Closed, Refused
from stack import Stack, Town
from waiting import until

SETTINGS = {"gateways": 2}
VOIDED = 3505


def admin_of(town, path="g1"):
    return Person(town.name, "admin", path, ("member", f"admin@{path}"))


def revoke(town, member, org_path="g1", by=None, **fields):
    """By an admin's phone, applied when this returns."""
    phone = town.phone(by or admin_of(town))
    accepted = phone.emit("auth.revoked", {"orgPath": org_path, "memberId": member, **fields})
    outcome = wait_outcome(phone, accepted)
    phone.close()
    return outcome


def restore(town, member, org_path="g1", **fields):
    phone = town.phone(admin_of(town))
    accepted = phone.emit("auth.restored", {"orgPath": org_path, "memberId": member, **fields})
    outcome = wait_outcome(phone, accepted)
    phone.close()
    return outcome


def wait_outcome(phone, accepted):
    return phone.outcome(accepted)


def wait_closed(phone):
    """The session is ended as revoked; the close code."""
    with pytest.raises(Closed):
        phone.read_until(lambda: False, 30, "closed")
    assert phone.closing["code"] == "token_revoked" and not phone.closing.get("reconnect")
    return phone.close_code


def refused(town, person, gateway=0, **claims):
    """The error code of a hello; None when it is let in."""
    phone = town.stack.connect(gateway=gateway)
    try:
        phone.hello(town.stack.keys.token(person, **claims))
        return None
    except Refused as refusal:
        if refusal.code == "token_revoked":
            wait_closed(phone)
        return refusal.code
    finally:
        phone.close()


def wait_refused(town, person, gateway=0, **claims):
    until(lambda: refused(town, person, gateway, **claims) == "token_revoked", what=f"gateway {gateway} refuses")


def old(seconds=60):
    """Claims of a token that was issued some time ago."""
    return {"iat": int(time.time()) - seconds}


def later():
    """Claims of a token that a member fetches behind a revocation: the next whole second counts."""
    time_now = time.time()
    until(lambda: int(time.time()) > int(time_now), every=0.05, what="the next second")
    return {"iat": int(time.time())}


def test_open_sessions_close_on_both_gateways(town):
    person = town.person("m1")
    phones = [town.phone(person, gateway=g, encoding=e) for g in (0, 1) for e in ("json", "protobuf")]
    other = town.phone(town.person("m2"))
    assert revoke(town, "m1")["status"] == "APPLIED"
    assert {wait_closed(phone) for phone in phones} == {VOIDED}
    for gateway in (0, 1):
        wait_refused(town, person, gateway, **old())
        assert refused(town, person, gateway, iat=None) == "token_revoked"
        assert refused(town, person, gateway, **later()) is None
    other.emit("notice.read", {"noticeId": "n1"})


def test_http_refuses_a_revoked_token(town):
    person = town.person("m1")
    token = town.stack.keys.token(person, **old())
    assert town.stack.http("GET", "/v1/query/notice/list", token=token)[0] == 200
    revoke(town, "m1")
    wait_refused(town, person, **old())
    status, headers, problem = town.stack.http("GET", "/v1/query/notice/list", token=token)
    assert status == 401 and problem["code"] == "token_revoked" and headers["WWW-Authenticate"] == "Bearer"
    assert town.stack.http("POST", "/v1/events", {}, token)[2]["code"] == "token_revoked"


def test_the_same_id_of_another_tenant_is_another_member(stack, town):
    elsewhere = Town(stack)
    phone = elsewhere.phone(elsewhere.person("m1"))
    revoke(town, "m1")
    wait_refused(town, town.person("m1"), **old())
    assert refused(elsewhere, elsewhere.person("m1"), **old()) is None
    phone.emit("notice.read", {"noticeId": "n1"})


@pytest.mark.parametrize("roles, path, code", [
    (("member", "admin@g1/c1"), "g1", "forbidden"),
    (("member", "admin@g2"), "g1/c1/b1", "forbidden"),
    (("member", "secretary@g1"), "g1/c1/b1", "forbidden"),
    (("member", "inspector@g1"), "g1/c1/b1", "forbidden"),
    (("member",), "g1/c1/b1", "forbidden"),
    (("member", "admin@g1/c1"), "g1/c1/b1", None),
    (("member", "admin@g1"), "g1", None),
])  # fmt: skip
def test_only_an_admin_over_the_org_revokes(town, roles, path, code):
    phone = town.phone(Person(town.name, "boss", "g1/c1/b1", roles))
    payload = {"orgPath": path, "memberId": "m9"}
    for type_ in ("auth.revoked", "auth.restored"):
        if code is None:
            phone.emit(type_, payload)
            continue
        with pytest.raises(Refused) as refusal:
            phone.emit(type_, payload)
        assert refusal.value.code == code
        assert refused(town, town.person("m9"), **old()) is None


def test_a_revocation_holds_for_its_scope(town):
    here, there = town.person("m1", "g1/c1/b1"), town.person("m1", "g1/c2/b1")
    stays = town.phone(there)
    revoke(town, "m1", "g1/c1")
    wait_refused(town, here, **old())
    assert refused(town, there, **old()) is None
    stays.emit("notice.read", {"noticeId": "n1"})


def test_one_token_may_be_revoked(town):
    person = town.person("m1")
    lost, kept = town.stack.connect(), town.stack.connect()
    lost.hello(town.stack.keys.token(person, jti="lost", **old()))
    kept.hello(town.stack.keys.token(person, jti="kept", **old()))
    revoke(town, "m1", tokenId="lost")
    assert wait_closed(lost) == VOIDED
    assert refused(town, person, jti="lost", **old()) == "token_revoked"
    assert refused(town, person, jti="kept", **old()) is None
    assert refused(town, person, **old()) is None
    kept.emit("notice.read", {"noticeId": "n1"})


def test_a_ban_until_it_is_restored(town):
    person = town.person("m1")
    revoke(town, "m1", notBefore="9999-01-01T00:00:00Z")
    wait_refused(town, person)
    wait_refused(town, person, gateway=1)
    assert restore(town, "m1", "g1/c1")["code"] == "not_found"
    assert refused(town, person) == "token_revoked"
    assert restore(town, "m1")["status"] == "APPLIED"
    until(lambda: refused(town, person) is None, what="let in again")
    until(lambda: refused(town, person, gateway=1) is None, what="let in again")


def test_a_refresh_with_a_revoked_token_is_refused(town):
    """The session goes on with a token that was not revoked; the revoked one changes nothing."""
    person = town.person("m1")
    phone = town.stack.connect()
    phone.hello(town.stack.keys.token(person, jti="good"))
    revoke(town, "m1", tokenId="bad")
    wait_refused(town, person, jti="bad", **old())
    with pytest.raises(Refused) as refusal:
        phone.hello(town.stack.keys.token(person, jti="bad", **old()))
    assert refusal.value.code == "token_revoked"
    phone.emit("notice.read", {"noticeId": "n1"})


def test_a_token_of_the_future_is_refused(town):
    """It would outlive every revocation of today."""
    assert refused(town, town.person("m1"), iat=int(time.time()) + 3600) == "token_not_yet_valid"


def test_what_an_admin_reads(town):
    revoke(town, "m1", "g1/c1")
    revoke(town, "m1", "g1", tokenId="t1")
    reader = town.phone(admin_of(town, "g1/c1"))
    voids = reader.query("auth.revocations", {"orgPath": "g1/c1", "memberId": "m1"})["voids"]
    assert [(v["orgPath"], v.get("tokenId")) for v in voids] == [("g1/c1", None)]
    with pytest.raises(Refused):
        reader.query("auth.revocations", {"orgPath": "g1", "memberId": "m1"})
    voids = town.phone(admin_of(town)).query("auth.revocations", {"orgPath": "g1", "memberId": "m1"})["voids"]
    assert len(voids) == 2


def test_too_many_single_tokens_are_refused_as_outcome(town):
    phone = town.phone(admin_of(town))
    payload = {"orgPath": "g1", "memberId": "m1"}
    for n in range(64):
        phone.emit("auth.revoked", {**payload, "tokenId": f"t{n}"})
    outcome = wait_outcome(phone, phone.emit("auth.revoked", {**payload, "tokenId": "t64"}))
    assert outcome["status"] == "REFUSED" and outcome["code"] == "too_many"
    assert wait_outcome(phone, phone.emit("auth.revoked", {**payload, "tokenId": "t3"}))["status"] == "APPLIED"


def test_yzctl_revokes_and_takes_back(town):
    person = town.person("m1")
    session = town.phone(person)
    words = ["--tenant", town.name, "--member", "a1", "--path", "g1", "--role", "admin@g1", "--wait"]
    assert "outcome APPLIED" in town.stack.ctl("revoke", "m1", *words, "--before", "9999-01-01T00:00:00Z")
    assert wait_closed(session) == VOIDED
    assert refused(town, person) == "token_revoked"
    assert "outcome APPLIED" in town.stack.ctl("unrevoke", "m1", *words)
    until(lambda: refused(town, person) is None, what="let in again")
    town.stack.ctl("revoke", "m1", "--tenant", town.name, "--member", "a1", "--path", "g1", "--role", "secretary@g1",
                   code=1)  # fmt: skip


def test_a_restarted_gateway_knows_before_it_is_ready(stack, town):
    person, gateway = town.person("m1"), stack.gateways[1]
    revoke(town, "m1")
    wait_refused(town, person, gateway=1, **old())
    gateway.terminate()
    stack.start_gateway(gateway)
    assert refused(town, person, gateway=1, **old()) == "token_revoked"
    assert refused(town, person, gateway=1, **later()) is None


class Line:
    """A TCP line to a port that can be cut and mended."""

    def __init__(self, port, to):
        self.to, self.mended, self.ends = to, True, []
        self.listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            if not self.mended:
                near.close()
                continue
            far = socket.create_connection(("127.0.0.1", self.to))
            self.ends += [near, far]
            for pair in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _pump(self, source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        self.mended = False
        for end in self.ends:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def mend(self):
        self.mended = True


@pytest.fixture
def cuttable(tmp_path):
    """A stack whose second gateway has a line of its own to NATS."""
    made = Stack(tmp_path / "stack", gateways=2)
    port = made.ports.take()
    line = Line(port, made.nats_port)
    made.gateways[1].argv += ["--nats-url", f"nats://127.0.0.1:{port}"]
    yield made.start(), line
    made.end()
    line.listener.close()


def connected(stack, number):
    return stack.metric(stack.gateways[number], "yizhan_gateway_bus_connected") == 1


def test_a_gateway_that_was_cut_off_learns_it(cuttable):
    stack, line = cuttable
    town = Town(stack)
    person = town.person("m1")
    phone = town.phone(person, gateway=1)
    line.cut()
    until(lambda: not connected(stack, 1), what="the second gateway is cut off")
    revoke(town, "m1")
    wait_refused(town, person, **old())
    line.mend()
    assert wait_closed(phone) == VOIDED
    assert refused(town, person, gateway=1, **old()) == "token_revoked"


def test_nobody_is_let_in_before_the_revocations_are_known(cuttable):
    stack, line = cuttable
    town = Town(stack)
    person, gateway = town.person("m1"), stack.gateways[1]
    revoke(town, "m1")
    gateway.terminate()
    line.cut()
    stack.start_gateway(gateway, ready=False)
    until(lambda: stack.admin(gateway, "/healthz")[0] == 200, what="the gateway runs")
    for who in (person, town.person("m2")):
        phone = stack.connect(gateway=1)
        with pytest.raises(Refused) as refusal:
            phone.hello(stack.keys.token(who, **old()))
        assert refusal.value.code == "bus_unavailable" and refusal.value.error["temporary"]
        with pytest.raises(Closed):
            phone.read_until(lambda: False, 30, "closed")
        assert phone.closing["reconnect"]
    assert "the revocations have not been read yet" in str(stack.admin(gateway, "/readyz")[1])
    line.mend()
    stack.wait_ready(gateway)
    assert refused(town, person, gateway=1, **old()) == "token_revoked"
    assert refused(town, town.person("m2"), gateway=1, **old()) is None


def test_more_revocations_than_fit_let_nobody_in(new_stack):
    stack = new_stack(gateways=1, revocations_max=2)
    town = Town(stack)
    session = town.phone(town.person("m8"))
    desk = town.phone(admin_of(town))
    for n in range(3):
        desk.emit("auth.revoked", {"orgPath": "g1", "memberId": f"m{n}"})
    until(lambda: refused(town, town.person("m8"), **later()) == "busy", what="nobody is let in")
    assert stack.admin(stack.gateways[0], "/readyz")[0] == 503
    assert "revocations_max" in str(stack.admin(stack.gateways[0], "/readyz")[1])
    session.emit("notice.read", {"noticeId": "n1"})
    stack.gateways[0].terminate()
    stack.start_gateway(stack.gateways[0], revocations_max=3)
    assert refused(town, town.person("m8"), **later()) is None
    assert refused(town, town.person("m2"), **old()) == "token_revoked"
