"""The proxies between the parts of a world: a Link for each connection that can be disturbed, each a toxiproxy process.

Bytes flow `up` from who connects to who listens, and `down` back. Two sorts of silence are needed, since they end
differently: after `lose` the connection is over, as when a box between the ends forgot it; after `hold` everything that
was sent arrives late, as when a cable was out for a while.

A process for each link, since toxiproxy 2.12 can hang for good, with all its links, when a toxic is removed whose data has
nowhere to go (its issue 558): then this one is ended and made anew, which its connections see as a reset.
"""

import json
import socket
import urllib.error
import urllib.request

from stack import Process, program
from waiting import until

START_S = 20
CALL_S = 5
HOLD_MS = 3_600_000
STREAMS = {"up": "upstream", "down": "downstream"}
STUCK = (TimeoutError, urllib.error.URLError)


class Toxiproxy:
    def __init__(self, folder, ports):
        self.folder, self.ports = folder, ports
        self.links = {}

    def link(self, name, listen, upstream):
        """Name a link; it works from start() on."""
        self.links[name] = Link(name, listen, upstream, self.folder, self.ports.take())
        return self.links[name]

    def start(self):
        for link in self.links.values():
            link.start()

    def stop(self):
        for link in self.links.values():
            link.stop()

    def clean(self):
        """No link is disturbed: as toxiproxy says, not as we remember."""
        return all(link.clean() for link in self.links.values())


class Link:
    """One proxied connection between two parts: `listen` is where the first part connects."""

    def __init__(self, name, listen, upstream, folder, api_port):
        self.name, self.listen, self.upstream, self.port = name, listen, upstream, api_port
        argv = [program("YZ_TOXIPROXY", "toxiproxy-server"), "-host", "127.0.0.1", "-port", api_port]
        self.process = Process(f"toxiproxy-{name}", argv, folder, env={"LOG_LEVEL": "error"})

    def start(self):
        self.process.start()
        until(self._listens, START_S, what=f"the proxy of {self.name} listens")
        self._call("POST", "", {"name": self.name, "listen": f"127.0.0.1:{self.listen}",
                                "upstream": f"127.0.0.1:{self.upstream}", "enabled": True})  # fmt: skip

    def stop(self):
        self.process.kill()

    def clean(self):
        proxy = self._call("GET", f"/{self.name}")
        return proxy["enabled"] and not proxy["toxics"]

    def _listens(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def _call(self, method, path, body=None):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/proxies{path}", method=method, headers={"Content-Type": "application/json"},
            data=None if body is None else json.dumps(body).encode(),
        )  # fmt: skip
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=CALL_S) as answer:
            text = answer.read().decode()
        return json.loads(text) if text else None

    def _add(self, type_, way, **attributes):
        self._call("POST", f"/{self.name}/toxics", {
            "name": f"{type_}-{way}", "type": type_, "stream": STREAMS[way], "attributes": attributes})  # fmt: skip

    def lose(self, way):
        """What is sent this way is thrown away; the connections break when the link is mended."""
        self._add("timeout", way, timeout=0)

    def hold(self, way):
        """What is sent this way waits until the link is mended."""
        self._add("latency", way, latency=HOLD_MS)

    def delay(self, way, latency_ms, jitter_ms):
        self._add("latency", way, latency=latency_ms, jitter=jitter_ms)

    def slice(self, way, average_bytes, delay_us):
        """In small pieces, with a pause between them."""
        self._add("slicer", way, average_size=average_bytes, size_variation=average_bytes // 2, delay=delay_us)

    def narrow(self, way, kb_per_s):
        self._add("bandwidth", way, rate=kb_per_s)

    def reset(self, after_ms=0):
        """RST to both ends of every connection there is and of each that is made until the link is mended."""
        for way in STREAMS:
            self._add("reset_peer", way, timeout=after_ms)

    def cut(self):
        """Every connection is closed once; the next is taken."""
        self._enable(False)
        self._enable(True)

    def refuse(self):
        """All connections are closed, none is taken until the link is mended."""
        self._enable(False)

    def _enable(self, enabled):
        self._call("POST", f"/{self.name}", {"enabled": enabled})

    def mend(self):
        """As it was. A toxic that does not let itself be removed goes with its process, and the connections with it."""
        try:
            for toxic in self._call("GET", f"/{self.name}/toxics"):
                self._call("DELETE", f"/{self.name}/toxics/{toxic['name']}")
            self._enable(True)
        except STUCK:
            self.stop()
            self.start()
