"""The programs that schemas/PROTOCOL.md prints do what it says: they are run as they stand there."""

import json
import os
import re
import subprocess
import sys

import pytest

import wire
from waiting import until

DOCUMENT = (wire.ROOT / "schemas" / "PROTOCOL.md").read_text()


def program(first_line):
    """The Python block that begins with this line."""
    return re.search(rf"```python\n({re.escape(first_line)}.*?)```", DOCUMENT, re.DOTALL)[1]


@pytest.fixture
def client(stack, town, tmp_path):
    """The document's client as a process; what it prints is in client.out."""
    person = town.person("m1")
    text = program("import asyncio, json, random")
    changes = {"ws://127.0.0.1:8080/v1/ws": stack.url(), "<the token>": stack.keys.token(person),
               "org.group/company1/branch1": f"org.{person.path}"}  # fmt: skip
    for printed, ours in changes.items():
        assert printed in text
        text = text.replace(printed, ours)
    (tmp_path / "client.py").write_text(text)
    out = tmp_path / "client.out"
    clean = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    with open(out, "wb") as file:
        process = subprocess.Popen([sys.executable, "-u", tmp_path / "client.py"], stdout=file, stderr=file, env=clean)
    process.out = out
    yield process
    process.terminate()
    process.wait(10)


def publish(stack, town, notice_id):
    notice = {"noticeId": notice_id, "orgPath": town.branch, "noticeClass": "INFO", "title": "t"}
    stack.ctl("publish", "notice.published", "--tenant", town.name, "--member", "sec", "--path", town.branch,
              "--role", f"secretary@{town.branch}", "--wait", json.dumps(notice))  # fmt: skip


def shown(client):
    return re.findall(r"'noticeId': '(\w+)'", client.out.read_text())


def test_the_printed_client_resumes(stack, town, client):
    gateway = stack.gateways[0]
    # A first notice may come before it has subscribed: the second one says that it has.
    for number in range(1, 50):
        publish(stack, town, f"a{number}")
        if shown(client):
            break
    until(lambda: shown(client)[-1:] == [f"a{number}"], what="the newest notice is shown")
    gateway.terminate()
    publish(stack, town, "missed")
    stack.start_gateway(gateway)
    until(lambda: shown(client)[-1:] == ["missed"], 30, what="the notice of the meantime is shown")
    assert shown(client).count("missed") == 1 and client.poll() is None, client.out.read_text()


def test_the_printed_code_is_the_meetings(stack, town):
    from meeting import Meeting

    names = {}
    exec(program("import base64, hashlib, hmac, os, struct, time"), names)
    person = town.person("m1")
    held = Meeting(town, town.phone(town.secretary), [person])
    code = names["code"](held.key(), town.name, held.path, held.id, held.period_s)
    phone = town.phone(person, subscribe=["member.m1"])
    phone.done("checkin.recorded", {**held.named, "method": "CODE", "code": code})
    phone.wait_push(type_="checkin.confirmed")
