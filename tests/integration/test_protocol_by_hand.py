"""A stranger's client: the `websockets` package, the standard library and schemas/PROTOCOL.md; none of our modules.

The token alone is made by `yzctl token`, as the README says.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import os
import struct
import time
import uuid

import pytest
import websockets


class Stranger:
    """Reads frames as PROTOCOL.md describes them: lines of JSON, each with items."""

    def __init__(self, socket):
        self.socket, self.items, self.frame = socket, [], 0

    async def ask(self, **body):
        self.frame += 1
        await self.socket.send(json.dumps({"id": self.frame, **body}))
        item = await self.find(lambda i: i.get("reply", {}).get("id") == self.frame)
        return item["reply"]

    async def find(self, wanted):
        """The first item that is wanted, of those not taken yet."""
        async with asyncio.timeout(10):
            while True:
                for item in self.items:
                    if wanted(item):
                        self.items.remove(item)
                        return item
                for line in (await self.socket.recv()).split("\n")[:-1]:
                    self.items += json.loads(line)["items"]

    async def push(self, kind):
        return (await self.find(lambda i: i.get("push", {}).get("type") == kind))["push"]

    async def emit(self, type_, **payload):
        event = {"eventId": str(uuid.uuid4()), "type": type_, "payload": payload}
        return (await self.ask(emit=event))["accepted"]


@pytest.fixture
def door(stack, town):
    """URL and a maker of tokens: all that a stranger is given."""

    def token(member, *roles):
        words = ["--tenant", town.name, "--member", member, "--path", "g1/c1/b1"]
        words += ["--key", stack.folder / "keys" / "hs.HS256.key", "--kid", "hs"]
        for role in roles:
            words += ["--role", role]
        return stack.ctl("token", *words).strip().splitlines()[-1]

    return stack.url(), token


def connect(url):
    return websockets.connect(url, subprotocols=["yizhan.v1.json"], proxy=None)


def code_for(key, tenant, org_path, meeting_id, period):
    head = struct.pack(">I", int(time.time()) // period) + os.urandom(8)
    signed = f"checkin-code-v1\n{tenant}\n{org_path}\n{meeting_id}\n".encode() + head
    mac = hmac.new(base64.b64decode(key), signed, hashlib.sha256).digest()
    return base64.urlsafe_b64encode(head + mac[:16]).decode().rstrip("=")


async def convene(desk):
    start = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 60))
    end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3660))
    await desk.emit("meeting.convened", orgPath="g1/c1/b1", meetingId="m42", kind="THEME_DAY",
                    title="主题党日", startsAt=start, endsAt=end, roster=["li", "wang"])  # fmt: skip
    return await desk.emit("meeting.opened", orgPath="g1/c1/b1", meetingId="m42")


async def check_in(desk, phone, tenant, opened):
    request = {"orgPath": "g1/c1/b1", "meetingId": "m42"}
    answer = await desk.ask(query={"type": "meeting.code_key", "payload": request,
                                   "minSequence": opened["sequence"]})  # fmt: skip
    shown = answer["queryResult"]["payload"]
    code = code_for(shown["key"], tenant, "g1/c1/b1", "m42", shown["codePeriodS"])
    return await phone.emit("checkin.recorded", orgPath="g1/c1/b1", meetingId="m42", method="CODE",
                            code=code)  # fmt: skip


async def main_job(url, token, tenant):
    async with connect(url) as a, connect(url) as b:
        desk, phone = Stranger(a), Stranger(b)
        await desk.ask(hello={"token": token("sec", "secretary@g1/c1/b1")})
        welcome = (await phone.ask(hello={"token": token("li"), "subscribe": [
            {"channel": "member.li"}, {"channel": "org.g1/c1/b1"},
            {"channel": "meeting.g1/c1/b1.m42"}]}))["welcome"]  # fmt: skip
        assert [r["ok"]["channel"] for r in welcome["subscribed"]] == [
            "member.li", "org.g1/c1/b1", "meeting.g1/c1/b1.m42"]  # fmt: skip
        opened = await convene(desk)
        assert (await phone.push("meeting.announced"))["payload"]["title"] == "主题党日"
        await check_in(desk, phone, tenant, opened)
        assert (await phone.push("checkin.confirmed"))["payload"]["meetingId"] == "m42"
        await phone.find(lambda i: i.get("push", {}).get("type") == "meeting.attendance_count"
                         and i["push"]["payload"].get("present") == 1)  # fmt: skip
        await check_in(desk, phone, tenant, opened)
        refused = await phone.push("event.outcome")
        assert refused["payload"]["code"] == "already_checked_in"
        place = next(r["ok"] for r in welcome["subscribed"] if r["channel"] == "org.g1/c1/b1")
    async with connect(url) as c:
        back = Stranger(c)
        since = {"epoch": place["epoch"], "offset": place.get("offset", "0")}
        welcome = (await back.ask(hello={"token": token("li"), "subscribe": [
            {"channel": "org.g1/c1/b1", "since": since}]}))["welcome"]  # fmt: skip
        assert welcome["subscribed"][0]["ok"]["recovered"] is True
        assert (await back.push("meeting.announced"))["payload"]["meetingId"] == "m42"


def test_the_main_job_by_hand(door, town):
    url, token = door
    asyncio.run(main_job(url, token, town.name))


def test_errors_by_hand(door):
    url, token = door

    async def go():
        async with connect(url) as socket:
            stranger = Stranger(socket)
            assert (await stranger.ask(ping={}))
            error = (await stranger.ask(subscribe={"channel": "org.g1"}))["error"]
            assert error["code"] == "hello_first"
            await stranger.ask(hello={"token": token("li")})
            error = (await stranger.ask(subscribe={"channel": "member.wang"}))["error"]
            assert error["code"] == "forbidden" and not error.get("temporary")

    asyncio.run(go())
