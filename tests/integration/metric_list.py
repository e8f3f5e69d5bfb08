"""The metrics as their .def lists name them, and promtool."""

import os
import pathlib
import re
import subprocess
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parents[2]
LISTS = {"gateway": "gateway/metrics.def", "worker": "workers/metrics.def"}
TYPES = {
    "COUNTER": "counter", "SECONDS_TOTAL": "counter", "COUNTER_BY": "counter",
    "GAUGE": "gauge", "SECONDS": "gauge", "GAUGE_BY": "gauge", "TROUBLES": "gauge",
    "LATENCY": "histogram", "SIZES": "histogram", "BYTES": "histogram", "LATENCY_BY": "histogram",
}  # fmt: skip


@dataclass(frozen=True)
class Metric:
    name: str
    type: str
    help: str
    label: str = ""

    @property
    def samples(self):
        """The names of its samples."""
        if self.type == "histogram":
            return tuple(self.name + suffix for suffix in ("_bucket", "_sum", "_count"))
        return (self.name,)


def _read(path):
    for line in (ROOT / path).read_text().splitlines():
        include = re.match(r'#include "([^"]+)"', line)
        row = re.match(r"([A-Z_]+)\((.*)\)$", line)
        if include:
            yield from _read(include[1])
        elif row:
            texts = re.findall(r'"((?:[^"\\]|\\.)*)"', row[2])
            label = texts[2] if row[1].endswith("_BY") else "code" if row[1] == "TROUBLES" else ""
            yield Metric(texts[0], TYPES[row[1]], texts[1], label)


def of(program):
    """The metrics of "gateway" or "worker"."""
    found = list(_read(LISTS[program]))
    assert len(found) > 30
    return found


def promtool():
    return os.environ.get("YZ_PROMTOOL") or subprocess.run(
        [ROOT / "scripts/services", "promtool"], capture_output=True, text=True, check=True).stdout.strip()
