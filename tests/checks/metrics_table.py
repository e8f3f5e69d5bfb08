#!/usr/bin/env python3
"""metrics_table.py [--write]: k8s/monitoring/METRICS.md, written from the lists of metrics (gateway/metrics.def,
workers/metrics.def) or compared with them."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

import metric_list  # noqa: E402
from tree import ROOT  # noqa: E402

FILE = ROOT / "k8s/monitoring/METRICS.md"
OPENING = """\
# Metrics

Written by `scripts/format` from `gateway/metrics.def` and `workers/metrics.def`. Both programs show them at `/metrics` of
their admin port (`YZ_ADMIN_PORT`), in Prometheus's text format; names and units follow its conventions: seconds and bytes.

Buckets of the histograms (upper bounds, and `+Inf`) are fixed:

| what | bounds |
|---|---|
| seconds | {latency} |
| how many | {sizes} |
| bytes | {bytes} |
"""


def bounds(macro, unit=1):
    text = (ROOT / "common/metrics.h").read_text()
    listed = text.split(f"#define {macro}_BOUNDS", 1)[1].split("\n\n", 1)[0].split("#define", 1)[0]
    numbers = [int(word) for word in listed.replace("/* microseconds */", "").replace("\\", "").split(",")]
    return " ".join(f"{number / unit:f}".rstrip("0").rstrip(".") for number in numbers)


def wanted():
    parts = [OPENING.format(latency=bounds("LATENCY", 1000000), sizes=bounds("SIZES"), bytes=bounds("BYTES"))]
    for program, title in (("gateway", "Gateway"), ("worker", "Worker")):
        rows = [f"| `{m.name}{f'{{{m.label}}}' if m.label else ''}` | {m.type} | {m.help} |" for m in metric_list.of(program)]
        parts.append(f"\n## {title}\n\n| metric | type | what it shows |\n|---|---|---|\n" + "\n".join(rows) + "\n")
    return "".join(parts)


def main():
    if "--write" in sys.argv:
        FILE.parent.mkdir(exist_ok=True)
        FILE.write_text(wanted(), encoding="utf-8")
    return 0 if FILE.read_text(encoding="utf-8") == wanted() else 1


if __name__ == "__main__":
    sys.exit(main())
