"""A process may open nothing more."""

import contextlib
import os
import resource
import socket

from kinds.kind import Kind, register

CALLERS = 20


@register
class FilesExhausted(Kind):
    """RLIMIT_NOFILE of a gateway or worker is at what it has open, or below; meanwhile its connections break and others want
    in: whatever it accepts or dials takes a file."""

    name = "files_exhausted"
    hold = (2.0, 10.0)
    loud = "log accept_failed of the gateway, nats_connect_failed of either"

    def targets(self, world):
        return [process.name for process in world.gateways + world.workers]

    def touches(self, world, target):
        return {target, *(name for name in world.proxies.links if target in name.split("-"))}

    def begin(self, world, target, rng):
        process = world.processes[target]
        held = len(os.listdir(f"/proc/{process.pid}/fd"))
        limit = rng.randrange(held // 2, held + 1)
        before = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (limit, before[1]))
        self.remember(world, target, (process.pid, before, self._call(process)))
        if rng.random() < 0.5:
            for name in self.touches(world, target) - {target}:
                if not name.startswith("phones"):
                    world.link(name).cut()
        return {"held": held, "limit": limit}

    def _call(self, process):
        """Callers who stay on the line."""
        callers = [socket.socket() for _ in range(CALLERS)]
        for caller in callers:
            caller.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                caller.connect_ex(("127.0.0.1", getattr(process, "port", process.admin_port)))
        return callers

    def end(self, world, target):
        pid, before, callers = self.recall(world, target) or (None, None, [])
        for caller in callers:
            caller.close()
        if pid and world.processes[target].pid == pid and world.processes[target].running:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
