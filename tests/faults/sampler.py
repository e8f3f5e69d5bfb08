"""Memory, gauges and counters of every process, about once a second, into the ledger."""

import collections
import threading

EVERY_S = 1.0


class Sampler:
    """Thread: one of its own. A process that is gone, hangs or does not answer in time is left out of that round."""

    def __init__(self, world, ledger):
        self.world, self.ledger = world, ledger
        self.rss_max = collections.Counter()
        self.totals = collections.Counter()  # counters over all processes and their restarts
        self._last = {}  # (process, metric): value seen last
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def start(self):
        self._thread.start()
        return self

    def stop(self):
        self._over.set()
        self._thread.join(30)

    def _run(self):
        while not self._over.wait(EVERY_S):
            lag = self.world.lag()
            for name, process in self.world.processes.items():
                self._sample(name, process, lag)

    def _sample(self, name, process, lag):
        try:
            rss = process.rss_bytes() if process.running else None
        except (OSError, AssertionError):
            rss = None  # it died in between
        if rss is None:
            return
        self.rss_max[name] = max(self.rss_max[name], rss)
        queues = self._metrics(name, process) if hasattr(process, "admin_port") else {}
        self.ledger.write("sample", process=name, rss=rss, queues=queues, lag=lag)

    def _metrics(self, name, process):
        """The gauges; counters are added up on the side, histograms left out."""
        gauges, kinds = {}, {}
        for line in self.world.admin(process, "/metrics")[1].splitlines():
            if line.startswith("# TYPE "):
                _, _, metric, kind = line.split()
                kinds[metric] = kind
            elif line and not line.startswith("#"):
                head, _, value = line.rpartition(" ")
                metric = head.partition("{")[0]
                if kinds.get(metric) == "counter":
                    self._count(name, head, metric, float(value))
                elif metric in kinds:
                    gauges[metric] = gauges.get(metric, 0) + float(value)
        return gauges

    def _count(self, name, head, metric, value):
        before = self._last.get((name, head), 0)
        self.totals[metric] += value - before if value >= before else value
        self._last[name, head] = value
