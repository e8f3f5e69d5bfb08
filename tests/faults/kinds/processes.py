"""Processes that die, or stand still."""

from kinds.kind import Kind, register


def names(processes):
    return [process.name for process in processes]


class Kill(Kind):
    """SIGKILL, and started again after a while."""

    hold = (0.2, 6.0)

    def begin(self, world, target, rng):
        process = world.processes[target]
        pid = process.pid
        process.kill()
        return {"pid": pid}

    def end(self, world, target):
        world.restart(target)


class Freeze(Kind):
    """SIGSTOP, later SIGCONT: sockets stay open, nothing answers, and on waking it believes that no time has passed."""

    hold = (1.0, 12.0)

    def begin(self, world, target, rng):
        process = world.processes[target]
        process.stop_still()
        return {"pid": process.pid}

    def end(self, world, target):
        process = world.processes[target]
        if process.running:
            process.go_on()


def gateways(self, world):
    return names(world.gateways)


def workers(self, world):
    return names(world.workers)


def nats(self, world):
    return names(world.nats_servers)


def database(self, world):
    return ["database"]


@register
class KillGateway(Kill):
    name, targets = "kill_gateway", gateways
    loud = "the phones' closes; start of yz-gateway in its log"


@register
class KillWorker(Kill):
    name, targets = "kill_worker", workers
    loud = "yizhan_worker_leases_taken_total of the others"


@register
class KillNats(Kill):
    name, targets, lone = "kill_nats", nats, True
    loud = "yizhan_gateway_bus_connected 0, log bus_disconnected"


@register
class KillDatabase(Kill):
    name, targets = "kill_database", database
    loud = "yizhan_worker_lag rises, log database_unavailable"


@register
class FreezeGateway(Freeze):
    name, targets = "freeze_gateway", gateways


@register
class FreezeWorker(Freeze):
    name, targets = "freeze_worker", workers


@register
class FreezeNats(Freeze):
    name, targets, lone = "freeze_nats", nats, True


@register
class FreezeDatabase(Freeze):
    name, targets = "freeze_database", database


class Restart(Kind):
    """All processes go and come back in an order of their own."""

    hold = (0.2, 3.0)

    def targets(self, world):
        return ["world"]

    def touches(self, world, target):
        return set(world.processes)

    def end(self, world, target):
        for name in self.recall(world, target) or world.processes:
            world.restart(name)


def shuffled(world, rng):
    order = list(world.processes)
    rng.shuffle(order)
    return order


def end(processes, how):
    """Those that run now: whoever nurses the workers may have started the next one before this returns."""
    popens = [process.popen for process in processes]
    for popen in popens:
        how(popen)
    for popen in popens:
        popen.wait(60)


@register
class RestartAll(Restart):
    """SIGTERM in the order of an operator: gateways, workers, then what they stand on."""

    name = "restart_all"

    def begin(self, world, target, rng):
        back = shuffled(world, rng)
        self.remember(world, target, back)
        for group in (world.gateways, world.workers, world.services):
            end(group, lambda popen: popen.terminate())
        return {"back": back}


@register
class KillAll(Restart):
    """The power goes: SIGKILL of everything at once."""

    name = "kill_all"

    def begin(self, world, target, rng):
        back = shuffled(world, rng)
        self.remember(world, target, back)
        end(world.processes.values(), lambda popen: popen.kill())
        return {"back": back}
