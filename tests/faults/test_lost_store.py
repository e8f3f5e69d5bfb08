"""What cannot be kept: with one NATS server, its disk is lost, or comes back from a backup.

What was accepted and not yet settled is gone with the disk, and so is the history of the channels: no program can bring that
back. What can be promised is that nobody takes it for whole, and that these tests show:

    the store is empty      no gateway is ready and nothing is accepted until yzctl apply has made the streams anew
    made anew               every session with a channel is closed with stream_reset, no old position is recovered,
                            yzctl apply and doctor name the generation, and no sequence is given out a second time
    an accepted event       that was lost has no outcome: its phone asks, is told not_found, and sends it again
    what was settled        stands in the documents, and a second copy of it changes nothing
"""

import random
import shutil

import pytest

from phone import Closed
from stack import Town
from waiting import until
from world import World

CHANNEL = "org.g1/c1/b1"
NOTICE = {"orgPath": "g1/c1/b1", "noticeClass": "INFO", "title": "t"}


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path / "world", random.Random(1), store_on_tmpfs=False).start()
    yield made
    made.end()


def publish(phone, number, **options):
    return phone.emit("notice.published", {**NOTICE, "noticeId": f"n{number}"}, f"e{number}", **options)


def lose_the_disk(world):
    """nats-server dies and comes back with nothing."""
    world.nats_servers[0].kill()
    shutil.rmtree(world.stores[0])
    world.stores[0].mkdir()
    world.restart("nats0")
    world.wait_nats()


def test_a_lost_disk_is_told_to_everybody(world):
    town = Town(world)
    reader, desk = town.phone(town.person("m1"), subscribe=[CHANNEL]), town.phone(town.secretary)
    settled = [publish(desk, n) for n in range(3)]
    reader.wait_push(3, type_="notice.posted")
    position = reader.position(CHANNEL)
    assert desk.outcome(settled[-1])["status"] == "APPLIED"
    for worker in world.workers:
        worker.kill()
    lost = [publish(desk, n) for n in range(3, 6)]
    assert world.lag() == 3

    lose_the_disk(world)
    for gateway in world.gateways:
        until(lambda gateway=gateway: world.admin(gateway, "/readyz")[0] == 503, what="not ready without streams")
    error = desk.emit_error("notice.published", {**NOTICE, "noticeId": "n9"})
    assert error["temporary"] and error["code"] == "bus_unavailable"
    assert "stream not found" in world.ctl("doctor", code=1)

    told = world.apply()
    assert "EVENTS" in told and "generation 2" in told, told
    code, closing = reader.wait_closed(30)
    assert code == 3002 and closing["code"] == "stream_reset" and closing["reconnect"]
    for worker in world.workers:
        world.restart(worker.name)
    world.wait_calm()
    assert "generation 2" in world.ctl("doctor", code=None)

    reader = town.phone(town.person("m1"), subscribe=[(CHANNEL, position)])
    assert not reader.welcome["subscribed"][0]["ok"].get("recovered")
    desk = town.phone(town.secretary)
    for event in lost:
        error = desk.error_of({"query": {"type": "event.outcome", "payload": {"eventId": event["eventId"]}}})
        assert error["code"] == "not_found"
    for number in range(6):
        again = publish(desk, number, retry=True)
        assert again["sequence"] > lost[-1]["sequence"], "a sequence never comes twice"
        assert desk.outcome(again)["status"] == "APPLIED"
    reader.wait_push(3, type_="notice.posted")
    reader.read_for(0.5)
    assert [p["payload"]["noticeId"] for p in reader.of(type_="notice.posted")] == ["n3", "n4", "n5"]
    assert sorted(n["notice_id"] for n in town.find("notices")) == [f"n{n}" for n in range(6)]
    assert {o["sequence"] for o in town.find("outcomes")} >= {event["sequence"] for event in settled}


def test_an_old_backup_is_seen(world, tmp_path):
    """The store goes back to what it was and gives sequences out again that documents and phones know. What is published
    under such a sequence is set aside, not lost among the replays; what the backup itself held is known to be settled."""
    town = Town(world)
    desk = town.phone(town.secretary)
    first = publish(desk, 0)
    assert desk.outcome(first)["status"] == "APPLIED"
    for worker in world.workers:
        worker.kill()
    held = publish(desk, 1)
    backup(world, tmp_path / "backup")
    for worker in world.workers:
        world.restart(worker.name)
    world.wait_calm()
    reader, desk = town.phone(town.person("m1"), subscribe=[CHANNEL]), town.phone(town.secretary)
    for number in range(2, 8):
        publish(desk, number, retry=True)
    reader.wait_push(6, type_="notice.posted")
    position = reader.position(CHANNEL)
    world.wait_calm()
    until(lambda: marked(world) >= held["sequence"] + 6, what="the mark is stored")

    restore(world, tmp_path / "backup")
    with pytest.raises(Closed):
        reader.read_until(lambda: False, 30, "the gateway sees that CHANNELS went back")
    assert reader.closing["code"] == "stream_reset" and reader.closing["reconnect"]
    for worker in world.workers:
        until(lambda worker=worker: "code=sequence_behind" in worker.text(), what="the worker sees it")
        assert world.admin(worker, "/readyz")[0] == 503
    assert "sequence_behind" in world.ctl("doctor", code=1)
    desk = town.phone(town.secretary)
    unlucky = publish(desk, 8, retry=True)
    assert held["sequence"] < unlucky["sequence"] <= marked(world), "the stream gives sequences out again"
    assert desk.outcome(unlucky)["status"] == "DEAD_LETTERED"
    assert desk.outcome(held)["status"] == "APPLIED"

    until(lambda: world.lag() == 0, what="nothing waits in EVENTS")
    world.ctl("epoch", "raise")
    world.wait_calm()
    assert "sequence_behind" not in world.ctl("doctor", code=None)
    world.ctl("dlq", "replay", "--all")
    until(lambda: town.find("outcomes", event_id="e8")[0]["status"] == "applied", what="it is applied after all")
    reader = town.phone(town.person("m1"), subscribe=[(CHANNEL, position)])
    assert not reader.welcome["subscribed"][0]["ok"].get("recovered")
    desk = town.phone(town.secretary)
    again = publish(desk, 9, retry=True)
    assert again["sequence"] > marked(world) and desk.outcome(again)["status"] == "APPLIED"
    assert sorted(n["notice_id"] for n in town.find("notices")) == [f"n{n}" for n in range(10)]
    assert {o["status"] for o in town.find("outcomes")} == {"applied"}


def marked(world):
    """The highest sequence that the database knows EVENTS to have reached."""
    row = world.documents["generations"].find_one({"_id": "_|EVENTS.reached"})
    return row["reached"] if row else 0


def backup(world, folder):
    world.nats_servers[0].terminate()
    shutil.copytree(world.stores[0], folder)
    world.restart("nats0")
    world.wait_nats()


def restore(world, folder):
    world.nats_servers[0].terminate()
    shutil.rmtree(world.stores[0])
    shutil.copytree(folder, world.stores[0])
    world.restart("nats0")
    world.wait_nats()
