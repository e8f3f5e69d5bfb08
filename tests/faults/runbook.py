"""k8s/RUNBOOK.md as a program reads it: its rows, and what each says can be seen.

    metric   `<program> <name>{labels}` = 1 | > 0.5 | rises; the name `up` is 0 while the admin port does not answer
    log      `<program> <words>`: one new line of such a process holds event=<first word> and the others
    doctor   `<code>`
    – why    there is nothing to see, and why

Of a cell whose parts are joined by "or" one at least is seen, of any other cell all.
"""

import dataclasses
import pathlib
import re

FILE = pathlib.Path(__file__).resolve().parents[2] / "k8s" / "RUNBOOK.md"
BEGIN, END = "<!-- rows:begin -->\n", "<!-- rows:end -->"
COLUMNS = ("fault", "symptom", "metric", "log", "doctor", "cause", "action")
PROGRAMS = ("gateway", "worker")
OR = " or "
PARTS = re.compile(f"; |{OR}")
METRIC = re.compile(r"^`(\w+) (\w+)(?:\{code=\"(\w+)\"\})?`(?: (rises)| ([=>]) ([\d.]+))$")


@dataclasses.dataclass(frozen=True)
class Metric:
    program: str
    name: str
    code: str | None
    op: str  # "rises", "=", ">"
    value: float

    def __str__(self):
        label = f'{{code="{self.code}"}}' if self.code else ""
        return f"metric {self.program} {self.name}{label} {self.op} {self.value}"


@dataclasses.dataclass(frozen=True)
class Line:
    program: str
    event: str
    words: tuple

    def __str__(self):
        return f"log {self.program} {self.event} {' '.join(self.words)}"

    def matches(self, line):
        return f" event={self.event} " in f"{line} " and all(word in line for word in self.words)


@dataclasses.dataclass(frozen=True)
class Either:
    options: tuple

    def __str__(self):
        return " or ".join(map(str, self.options))


@dataclasses.dataclass(frozen=True)
class Row:
    faults: tuple
    metrics: tuple
    lines: tuple
    codes: tuple
    cells: dict

    def signals(self):
        found = []
        codes = tuple(f"doctor {code}" for code in self.codes)
        for column, signals in (("metric", self.metrics), ("log", self.lines), ("doctor", codes)):
            found += [Either(signals)] if signals and OR in self.cells[column] else signals
        return found


def _nothing(cell):
    """A dash must say why."""
    if not cell.startswith("–"):
        return False
    assert len(cell) > 5, f"a dash without a reason: {cell!r}"
    return True


def _metric(text):
    found = METRIC.match(text)
    assert found and found[1] in PROGRAMS, f"not a metric: {text!r}"
    program, name, code, rises, op, value = found.groups()
    return Metric(program, name, code, rises or op, float(value or 0))


def _line(text):
    program, event, *words = text.strip("`").split()
    assert text.startswith("`") and program in PROGRAMS, f"not a log line: {text!r}"
    return Line(program, event, tuple(words))


def _row(cells):
    named = dict(zip(COLUMNS, cells, strict=True))
    assert all(named.values()), f"an empty cell: {cells}"
    metric, log, doctor = named["metric"], named["log"], named["doctor"]
    return Row(
        faults=tuple(re.findall(r"`(\w+)`", named["fault"])),
        metrics=() if _nothing(metric) else tuple(map(_metric, PARTS.split(metric))),
        lines=() if _nothing(log) else tuple(map(_line, PARTS.split(log))),
        codes=() if _nothing(doctor) else tuple(re.findall(r"`(\w+)`", doctor)),
        cells=named,
    )


def rows():
    text = FILE.read_text(encoding="utf-8")
    table = text.partition(BEGIN)[2].partition(END)[0].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table]
    assert tuple(cells[0]) == COLUMNS, cells[0]
    return [_row(line) for line in cells[2:]]


def of(fault):
    """The rows that name this fault."""
    return [row for row in rows() if fault in row.faults]
