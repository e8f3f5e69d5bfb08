"""The means of harm do what they say: links, clocks, and a cluster that has no way around its proxies."""

import contextlib
import datetime
import random
import socket
import threading
import types

import pytest

from kinds import KINDS
from stack import Ports, Town
from toxiproxy import Toxiproxy
from waiting import holds, until
from world import World


@pytest.fixture
def link(tmp_path):
    """A link to a server that sends back what it gets."""
    ports = Ports()
    listener = socket.create_server(("127.0.0.1", ports.take()))
    proxies = Toxiproxy(tmp_path, ports)
    made = proxies.link("echo", ports.take(), listener.getsockname()[1])
    proxies.start()
    threading.Thread(target=_serve, args=(listener,), daemon=True).start()
    yield made
    proxies.stop()
    listener.close()
    ports.release()


def _serve(listener):
    with contextlib.suppress(OSError):
        while True:
            threading.Thread(target=_echo, args=(listener.accept()[0],), daemon=True).start()


def _echo(connection):
    with contextlib.suppress(OSError), connection:
        while data := connection.recv(65536):
            connection.sendall(data)


def call(link):
    client = socket.create_connection(("127.0.0.1", link.listen), timeout=10)
    assert exchange(client, b"hello") == b"hello"
    return client


def exchange(client, data):
    client.sendall(data)
    return client.recv(65536)


def is_silent(client, seconds):
    client.settimeout(seconds)
    try:
        client.recv(1)
    except TimeoutError:
        return True
    finally:
        client.settimeout(10)
    return False


@pytest.mark.parametrize("way", ["up", "down"])
def test_what_is_held_arrives_later(link, way):
    with call(link) as client:
        link.hold(way)
        client.sendall(b"late")
        assert is_silent(client, 0.5) and not link.clean()
        link.mend()
        assert client.recv(100) == b"late" and exchange(client, b"on") == b"on"
    assert link.clean()


def test_a_proxy_that_hangs_is_made_anew(link):
    with call(link) as client:
        link.hold("up")
        link.process.stop_still()
        link.mend()
        with contextlib.suppress(ConnectionError):
            assert client.recv(1) == b""
    assert link.clean()
    call(link).close()


@pytest.mark.parametrize("way", ["up", "down"])
def test_what_is_lost_breaks_in_the_end(link, way):
    with call(link) as client:
        link.lose(way)
        client.sendall(b"gone")
        assert is_silent(client, 0.5)
        link.mend()
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(100) == b""
    call(link).close()


def test_a_reset_is_a_reset_and_refused_is_refused(link):
    with call(link) as client:
        link.reset()
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            for _ in range(100):
                if not exchange(client, b"x"):
                    raise ConnectionResetError("closed")
    link.mend()
    link.refuse()
    with pytest.raises(ConnectionRefusedError):
        call(link)
    link.mend()
    call(link).close()


def test_pieces_and_delays_lose_nothing(link):
    data = random.Random(1).randbytes(20_000)
    with call(link) as client:
        for harm in (lambda: link.slice("up", 50, 10), lambda: link.delay("down", 50, 20), lambda: link.narrow("up", 200)):
            harm()
            client.sendall(data)
            got = b""
            while len(got) < len(data):
                got += client.recv(65536)
            assert got == data
            link.mend()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    made = World(tmp_path_factory.mktemp("world"), random.Random(1), cluster=True).start()
    yield made
    made.end()


def routes(world, node):
    return world._monitor(int(node.removeprefix("nats")), "routez")["num_routes"]


# By which a server that is cut off is missed: by its peers, or by a worker whose beat needed it.
SIGNS = ("is behind", "not healthy", "does not answer", "is not ready")


@pytest.mark.parametrize("name", ["partition_node", "partition_leader"])
def test_a_cut_off_server_has_no_way_around(world, name):
    """Neither routes that gossip made, nor clients that were told of other servers."""
    world.wait_calm()
    kind, rng = KINDS[name], random.Random(1)
    target = kind.targets(world)[0]
    node = kind.begin(world, target, rng).get("node", target)
    try:
        if name == "partition_node":
            until(lambda: routes(world, node) == 0, 30, what="no route is left")
            holds(lambda: routes(world, node) == 0, 3, what="no route comes back")
        until(lambda: any(sign in text for text in world.troubles() for sign in SIGNS), 60, 0.2, "the others miss it")
    finally:
        kind.end(world, target)
    world.wait_calm()
    assert routes(world, node) > 0


@pytest.mark.parametrize("step_s", [-300, 300])
def test_a_clock_is_set_while_the_process_runs(world, step_s):
    if world.clocks_missing:
        pytest.skip(world.clocks_missing)
    town = Town(world)
    phone = world.phone(town.person("m1"))

    def ahead_s():
        time = phone.expect({"ping": {}}, "pong")["serverTime"]
        return (datetime.datetime.fromisoformat(time) - datetime.datetime.now(datetime.timezone.utc)).total_seconds()

    assert abs(ahead_s()) < 20
    world.clocks["gateway0"].set(step_s)
    until(lambda: abs(ahead_s() - step_s) < 20, 15, 0.2, what="the gateway's clock is set")
    world.clocks["gateway0"].set(0)
    until(lambda: abs(ahead_s()) < 20, 15, 0.2, what="the gateway's clock is right again")
    phone.expect({"ping": {}}, "pong")


def test_whoever_starts_a_worker_gives_it_the_fault_point_of_the_event_under_way():
    """A fault that ends all and starts all again must not bring a worker that finds nothing wrong with the event."""
    started = {}

    def process(name):
        return types.SimpleNamespace(name=name, running=False, settings={},
                                     start=lambda **env: started.setdefault(name, env.get("YZ_FAULT")))  # fmt: skip

    worker, gateway = process("worker0"), process("gateway0")
    world = types.SimpleNamespace(processes={"worker0": worker, "gateway0": gateway}, workers=[worker], gateways=[gateway],
                                  fault_points={"crash_on_event:b", "crash_on_event:a"}, _env=lambda **settings: {},
                                  _starting=threading.Lock())  # fmt: skip
    World.restart(world, "worker0")
    World.restart(world, "gateway0")
    assert started == {"worker0": "crash_on_event:a,crash_on_event:b", "gateway0": None}
