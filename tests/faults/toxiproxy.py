"""The proxy between the parts of a world: one toxiproxy process, and a Link for each connection that can be disturbed.

Bytes flow `up` from who connects to who listens, and `down` back. Two sorts of silence are needed, since they end
differently: after `lose` the connection is over, as when a box between the ends forgot it; after `hold` everything that
was sent arrives late, as when a cable was out for a while.
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


class Toxiproxy:
    def __init__(self, folder, ports):
        self.port = ports.take()
        argv = [program("YZ_TOXIPROXY", "toxiproxy-server"), "-host", "127.0.0.1", "-port", self.port]
        self.process = Process("toxiproxy", argv, folder, env={"LOG_LEVEL": "error"})
        self.links = {}

    def link(self, name, listen, upstream):
        """Name a link; it works from start() on."""
        self.links[name] = Link(self, name, listen, upstream)
        return self.links[name]

    def start(self):
        self.process.start()
        until(self._listens, START_S, what="toxiproxy listens")
        for link in self.links.values():
            self.call("POST", "/proxies", {"name": link.name, "listen": f"127.0.0.1:{link.listen}",
                                           "upstream": f"127.0.0.1:{link.upstream}", "enabled": True})  # fmt: skip

    def stop(self):
        self.process.kill()

    def clean(self):
        """No link is disturbed: as toxiproxy says, not as we remember."""
        return all(p["enabled"] and not p["toxics"] for p in self.call("GET", "/proxies").values())

    def _listens(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def call(self, method, path, body=None):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", method=method, headers={"Content-Type": "application/json"},
            data=None if body is None else json.dumps(body).encode(),
        )  # fmt: skip
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=CALL_S) as answer:
            text = answer.read().decode()
        return json.loads(text) if text else None


class Link:
    """One proxied connection between two parts: `listen` is where the first part connects."""

    def __init__(self, proxies, name, listen, upstream):
        self.proxies, self.name, self.listen, self.upstream = proxies, name, listen, upstream

    def _add(self, type_, way, **attributes):
        self.proxies.call("POST", f"/proxies/{self.name}/toxics", {
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
        self.proxies.call("POST", f"/proxies/{self.name}", {"enabled": enabled})

    def mend(self):
        """As it was. A toxic whose data has nowhere to go does not let itself be removed: then the connections go."""
        try:
            self._remove_toxics()
        except (TimeoutError, urllib.error.URLError):
            self._enable(False)
            self._remove_toxics()
        self._enable(True)

    def _remove_toxics(self):
        for toxic in self.proxies.call("GET", f"/proxies/{self.name}/toxics"):
            self.proxies.call("DELETE", f"/proxies/{self.name}/toxics/{toxic['name']}")
