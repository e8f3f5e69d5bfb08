"""All kinds of faults. KINDS[name] is the one instance of each; see kind.py for what it can do."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "integration"))

from kinds import clocks, cluster, hands, limits, network, poison, processes, storage  # noqa: E402, F401
from kinds.kind import KINDS, Kind  # noqa: E402

__all__ = ["KINDS", "Kind"]
