"""All kinds of faults. KINDS[name] is the one instance of each; see kind.py for what it can do."""

from kinds import clocks, cluster, hands, limits, network, poison, processes, storage  # noqa: F401
from kinds.kind import KINDS, Kind

__all__ = ["KINDS", "Kind"]
