"""/metrics of a real gateway and a real worker: what promtool says of it, and that it moves with what was done."""

import re
import subprocess

import pytest

import metric_list
from test_notices import notice
from waiting import until

SAMPLE = re.compile(r"(?P<name>[a-z_]+)(?:\{(?P<labels>[^}]*)\})? (?P<value>\S+)")


@pytest.fixture
def busy(town):
    """Two members who were shown a notice, and the secretary who published it."""
    readers = [town.phone(town.person(m), subscribe=["org.g1/c1/b1"]) for m in ("m1", "m2")]
    desk = town.phone(town.secretary)
    before = Page(town.stack, town.stack.gateways[0]), Page(town.stack, town.stack.workers[0])
    desk.done("notice.published", notice())
    for reader in readers:
        reader.wait_push(1, type_="notice.posted")
    desk.query("notice.list")
    return town, *before


class Page:
    """One look at /metrics."""

    def __init__(self, stack, process):
        status, self.text = stack.admin(process, "/metrics")
        assert status == 200
        self.types = dict(line.split()[2:4] for line in self.text.splitlines() if line.startswith("# TYPE "))
        self.samples = {}
        for line in self.text.splitlines():
            if not line.startswith("#"):
                match = SAMPLE.fullmatch(line)
                assert match, line
                key = match["name"], tuple(re.findall(r'(\w+)="([^"]*)"', match["labels"] or ""))
                assert key not in self.samples, line
                self.samples[key] = float(match["value"])

    def total(self, name, **labels):
        found = [v for (n, has), v in self.samples.items() if n == name and labels.items() <= dict(has).items()]
        assert found, f"there is no {name}"
        return sum(found)

    def rose(self, before, name, **labels):
        return self.total(name, **labels) - before.total(name, **labels)

    def histograms(self):
        """Each series of a histogram: (name, labels), [(le, cumulative count)]."""
        for name in (n for n, kind in self.types.items() if kind == "histogram"):
            series = {}
            for (sample, labels), value in self.samples.items():
                if sample == f"{name}_bucket":
                    assert labels[-1][0] == "le"
                    series.setdefault(labels[:-1], []).append((float(labels[-1][1]), value))
            assert series, name
            for labels, buckets in series.items():
                yield (name, labels), buckets


def processes(stack):
    return {"gateway": stack.gateways[0], "worker": stack.workers[0]}


def test_promtool_finds_nothing_wrong(busy):
    town = busy[0]
    for kind, process in processes(town.stack).items():
        page = Page(town.stack, process)
        done = subprocess.run([metric_list.promtool(), "check", "metrics"], input=page.text, capture_output=True, text=True)
        assert (done.returncode, done.stdout + done.stderr) == (0, ""), kind


def test_every_metric_stands_in_the_list_and_every_line_is_shown(stack):
    for kind, process in processes(stack).items():
        listed = {metric.name: metric.type for metric in metric_list.of(kind)}
        assert Page(stack, process).types == listed


def test_histograms_are_whole(busy):
    town = busy[0]
    for process in processes(town.stack).values():
        page = Page(town.stack, process)
        for (name, labels), buckets in page.histograms():
            bounds, counts = zip(*buckets, strict=True)
            assert list(bounds) == sorted(set(bounds)) and bounds[-1] == float("inf"), name
            assert list(counts) == sorted(counts), name
            assert counts[-1] == page.samples[f"{name}_count", labels], name
            assert page.samples[f"{name}_sum", labels] >= 0


def test_a_delivery_tells_its_lag(busy):
    town, before, _ = busy
    gateway = town.stack.gateways[0]

    def told():
        page = Page(town.stack, gateway)
        return page.rose(before, "yizhan_gateway_delivery_lag_seconds_count") >= 2

    until(told, 30, what="both deliveries were observed")
    page = Page(town.stack, gateway)
    assert page.rose(before, "yizhan_gateway_deliveries_total") >= 2
    assert page.rose(before, "yizhan_gateway_puback_seconds_count") == page.rose(
        before, "yizhan_gateway_events_accepted_total")  # fmt: skip


def test_a_batch_tells_its_stages(busy):
    town, _, before = busy
    worker = town.stack.workers[0]

    def told():
        return Page(town.stack, worker).rose(before, "yizhan_worker_batch_events_count") >= 1

    until(told, 30, what="the batch is over")
    page = Page(town.stack, worker)
    for stage in ("load", "decide", "outcomes", "documents", "outbox", "push", "ack"):
        assert page.rose(before, "yizhan_worker_stage_seconds_count", stage=stage) >= 1, stage
    events = page.rose(before, "yizhan_worker_events_received_total")
    assert page.rose(before, "yizhan_worker_event_wait_seconds_count") == events >= 1
    assert page.rose(before, "yizhan_worker_batch_events_sum") == events
    assert page.rose(before, "yizhan_worker_query_seconds_count") >= 1
