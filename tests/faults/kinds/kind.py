"""What a kind of fault is."""

KINDS = {}


def register(kind):
    """Class decorator: one instance of it under its name."""
    assert kind.name and kind.name not in KINDS, kind
    KINDS[kind.name] = kind()
    return kind


class Kind:
    """One way to harm a world. An instance has no state: what its end must know stands in the world's memory.

    name      as --fault names it and as the ledger writes it
    needs     of "single" (one NATS server), "cluster", "tmpfs" (root), "clock" (libfaketime), "fault_points" (a build
              with YZ_FAULTS): why_not() says what is missing in a world
    hold      seconds from begin to end: shortest and longest
    lone      it takes one of three replicas away, which is what three replicas bear: it begins when all are there and level
    loud      what shows it: a metric, log event or doctor code, for the runbook

    begin() and end() break and mend, and wait for nothing: another fault may stand in the way. Between them nobody else may
    touch what touches() names.
    """

    name = ""
    needs = ()
    hold = (1.0, 8.0)
    lone = False
    loud = ""

    def targets(self, world):
        """Names of what it can be done to: processes, links, or "world"."""
        raise NotImplementedError

    def touches(self, world, target):
        return {target}

    def hold_s(self, rng):
        return rng.uniform(*self.hold)

    def begin(self, world, target, rng):
        """Do it; what was done, as a dict for the ledger."""
        raise NotImplementedError

    def end(self, world, target):
        """As it was before."""

    def why_not(self, world):
        """What this world lacks for this kind; None when it can be done."""
        have = {"single": not world.cluster, "cluster": world.cluster, "tmpfs": world.store_can_fill,
                "clock": not world.clocks_missing, "fault_points": world.has_fault_points}  # fmt: skip
        missing = [need for need in self.needs if not have[need]]
        return f"needs {', '.join(missing)}" if missing else None

    def remember(self, world, target, value):
        world.memory[self.name, target] = value

    def recall(self, world, target):
        """What begin remembered; None when begin did not get there."""
        return world.memory.pop((self.name, target), None)
