"""Hostile and unlucky input leaves no token, secret or personal text in any log, and forges no line.

Every other stack's logs are looked through at its end as well (Stack.check_secrets)."""

import os
import re
import socket

import pytest
from meeting import Meeting
from people import new_id
from waiting import until

TEXTS = ("SECRETTITLE", "SECRETBODY", "SECRETPOST", "SECRETDEVICE", "SECRETPLACE", "SECRETNAME", "举报某某", "张三丰",
         "13800138000", "110101199003070011")  # fmt: skip
INJECTED = "x\nlevel=error event=forged"
LINE = re.compile(r"^time=\S+ level=(error|warn|info|debug) program=yz-\S+ pid=\d+ event=\w+( |$)")


def everything(stack):
    return {process.name: process.text() for process in stack.gateways + stack.workers + stack.services}


def raw(stack, data):
    """Bytes to the client port; what comes back until the gateway ends it or says nothing more."""
    with socket.create_connection(("127.0.0.1", stack.gateways[0].port), timeout=5) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := sock.recv(65536):
            answer += chunk
    return answer


@pytest.fixture
def token(stack, town):
    return stack.keys.token(town.person("m1"))


def test_a_token_in_the_wrong_place_is_not_logged(stack, town, token):
    forged = stack.keys.sign(town.person("m1").claims(aud="shop"))
    for where in (token, forged, token[:-4], token + "x"):
        for path in (f"/v1/ws?token={where}", f"/v1/events?access_token={where}", f"/{where}", f"/v1/query/notice/list/{where}",
                     f"/v1/query/notice/list?token={where}", f"/v1/query/{where}/list"):  # fmt: skip
            raw(stack, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        for header in (f"Cookie: session={where}", f"Sec-WebSocket-Protocol: yizhan.v1.json, {where}", f"Authorization: {where}",
                       f"Authorization: Basic {where}", f"X-Token: {where}", f"Origin: https://{where}", f"User-Agent: {where}",
                       f"Referer: https://x/?token={where}"):  # fmt: skip
            raw(stack, f"GET /v1/ws HTTP/1.1\r\nHost: x\r\n{header}\r\nConnection: close\r\n\r\n".encode())
        phone = stack.connect()
        phone.send_raw('{"id":1,"hello":{"token":"%s"' % where)
        phone.answer_to('{"id":2,"hello":{"token":"%s","surplus":1}}' % where)
        phone.answer_to('{"id":3,"query":{"type":"%s"}}' % where)
        phone.close()
    stack.check_secrets()


@pytest.mark.parametrize("leak, found", [
    (lambda stack, token: token, "a token"), (lambda stack, token: token.split(".")[1], "a token"),
    (lambda stack, token: token.split(".")[2], "a signature"), (lambda stack, token: stack.secrets()[-1], "a secret"),
    (lambda stack, token: stack.rights.passwords["worker"], "a secret"), (lambda stack, token: "张三", "a text"),
])  # fmt: skip
def test_the_look_at_the_end_of_each_stack_finds_a_leak(stack, token, leak, found):
    log = stack.workers[0].log
    size = log.stat().st_size
    with open(log, "a") as file:
        file.write(f"event=leak what={leak(stack, token)}\n")
    try:
        with pytest.raises(AssertionError, match=f"worker0 logs {found}"):
            stack.check_secrets()
    finally:
        os.truncate(log, size)
    stack.check_secrets()


def test_personal_texts_are_not_logged_when_things_go_wrong(stack, town):
    """A contract broken by each text in turn, a poison event, a refusal by the domain."""
    desk, phone = town.phone(town.secretary), town.phone(town.person("m1"))
    for text in TEXTS:
        for payload in ({"text": text}, {"orgPath": text, "threadId": "t", "messageId": "x", "text": text},
                        {"orgPath": town.branch, "threadId": text, "messageId": text, "text": text * 200},
                        {text: text}):  # fmt: skip
            phone.request({"emit": {"eventId": new_id("e"), "type": "thread.posted", "payload": payload}})
        phone.request({"emit": {"eventId": text, "type": text, "payload": {}}})
        phone.request({"query": {"type": "thread.page", "payload": {"threadId": text}}})
        phone.request({"subscribe": {"channel": f"thread.{text}"}})
        phone.send_raw('{"id":1,"emit":{"text":"%s"' % text)
        stack.bus.publish(f"evt.3.{town.name}.thread.g1/c1/b1", text.encode(), {"ce-id": new_id("e")})
        desk.request({"emit": {"eventId": new_id("e"), "type": "notice.published", "payload": {
            "noticeId": "n1", "orgPath": town.branch, "noticeClass": "INFO", "title": text, "body": text}}})  # fmt: skip
    until(lambda: len(stack.bus.messages("DEADLETTERS", f"dlq.{town.name}.>")) == len(TEXTS), 30)
    for name, text in everything(stack).items():
        assert [t for t in TEXTS if t in text] == [], name


def test_a_file_of_a_member_is_not_logged(stack, town):
    """Good ones, ones that the contract refuses, ones that the domain refuses, one that is set aside; search and reading."""
    from registry import chief, found, register

    desk = town.phone(chief(town))
    found(desk, "g1", "g1/c1", "g1/c1/b1")
    fields = {"name": "张三丰", "idNumber": "110101199003070011", "phone": "13800138000", "duesBaseFen": "98765432"}
    good = {**fields, "kind": "FULL", "idNumber": "11010119900307803X"}
    register(desk, "m1", "g1/c1/b1", **{name: value for name, value in good.items() if name != "kind"})
    here = "g1/c1/b1"
    for path, file in ((here, {**fields, "kind": "FULL"}), ("g1/none", good), (here, good), (here, fields)):
        desk.request({"emit": {"eventId": new_id("e"), "type": "member.registered", "payload": {
            "orgPath": path, "memberId": "m1", "file": file, "basis": "SECRETBODY"}}})  # fmt: skip
    desk.query("member.search", {"orgPath": "g1", "namePrefix": "张三"})
    desk.query("member.get", {"memberId": "m1", "purpose": "SECRETBODY"})
    desk.request({"query": {"type": "member.search", "payload": {"orgPath": "g1", "namePrefix": "张三丰" * 40}}})
    roll = stack.folder / "roll.csv"
    roll.write_text("member_id,org_path,name,kind,phone,id_number\n" + "".join(
        f"m{n},g1/c1/b1,张三丰,FULL,{phone},{number}\n" for n, (phone, number) in enumerate(
            [("13800138000", "110101199003070011"), ("138001380001380013800", "")], 7)))  # fmt: skip
    said = stack.ctl("import", "--members", roll, "--tenant", town.name, "--member", "chief", "--path", "g1",
                     "--role", "admin@g1", "--basis", "b", "--json", code=1)  # fmt: skip
    for name, text in {**everything(stack), "yzctl": said}.items():
        assert [t for t in (*TEXTS, "11010119900307803X", "98765432", "张三") if t in text] == [], name


def test_a_code_is_not_logged(stack, town):
    person = town.person("m1")
    held, phone = Meeting(town, town.phone(town.secretary), [person]), town.phone(person)
    codes = [held.code(), held.code()[:-2] + "AA"]
    for code in codes:
        phone.request({"emit": {"eventId": new_id("e"), "type": "checkin.recorded", "payload": held.checkin(code)}})
    phone.done("checkin.recorded", held.checkin()) if not town.find("checkins") else None
    for name, text in everything(stack).items():
        assert [code for code in codes if code in text] == [], name


def test_no_input_begins_a_line_of_its_own(stack, town, token):
    line = INJECTED.replace("\n", "\\n")
    phone = town.phone(town.person("m1"))
    phone.answer_to('{"id":1,"emit":{"eventId":"%s","type":"%s","payload":{}}}' % (line, line))
    phone.answer_to('{"id":2,"subscribe":{"channel":"org.%s"}}' % line)
    phone.answer_to('{"id":3,"query":{"type":"%s"}}' % line)
    for kid in (INJECTED, "x\r\nevent=forged"):
        other = stack.connect()
        other.request({"hello": {"token": stack.keys.sign(town.person("m1").claims(), headers={"kid": kid}), "device": INJECTED}})
        other.close()
    claims = {**town.person("m1").claims(), "sub": INJECTED, "path": INJECTED}
    stack.connect().request({"hello": {"token": stack.keys.sign(claims)}})
    raw(stack, b"GET /%0alevel=error%20event=forged HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    raw(stack, b"GET /\nlevel=error event=forged HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    body = '{"eventId":"%s","type":"%s"}' % (line, line)
    stack.http("POST", "/v1/events", body=body.encode(), token=token, headers={"Content-Type": "application/json"})
    stack.bus.publish(f"evt.4.{town.name}.thread.g1/c1/b1", b"?", {"ce-id": "x level=error event=forged", "ce-tenant": "a b"})
    until(lambda: stack.bus.messages("DEADLETTERS", f"dlq.{town.name}.>"), 30)
    for process in stack.gateways + stack.workers:
        for text in process.text().splitlines():
            assert LINE.match(text), f"{process.name}: {text}"
            assert not re.search(r"(^|\s)event=forged", text), text
