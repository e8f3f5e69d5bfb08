"""For each alert, and each thing that it looks at, a history of metrics at which it fires, with what it then says, and one,
close by, at which it does not.

Values are promtool's: `a+bxn` is a, a+b, … n more times, one each STEP_S seconds.
"""

from dataclasses import dataclass, field

G = 'job="yizhan-gateway",instance="g1:9100"'
W = 'job="yizhan-worker",instance="w1:9100"'
W2 = 'job="yizhan-worker",instance="w2:9100"'
GATEWAY = {"job": "yizhan-gateway", "instance": "g1:9100"}
WORKER = {"job": "yizhan-worker", "instance": "w1:9100"}
NOW = 30 * 60  # the time of the evaluation, in seconds; the histories begin at 0
STEP_S = 30
STEPS = NOW // STEP_S + 1
DAY = 86400


def flat(value):
    return f"{value}+0x{STEPS}"


def late(before, after, seconds):
    """`before` all along, `after` for the last seconds."""
    last = seconds // STEP_S
    return f"{before}+0x{STEPS - 2 - last} {after}+0x{last}"


def rising(per_step, start=0):
    return f"{start}{per_step:+}x{STEPS}"


def histogram(name, labels, fast, slow):
    """Counts a step: `fast` within 0.5 s, `slow` between 1 and 2 s."""
    series = {f'{name}_bucket{{{labels},le="{le}"}}': rising(fast) for le in ("0.5", "1")}
    return series | {f'{name}_bucket{{{labels},le="{le}"}}': rising(fast + slow) for le in ("2", "+Inf")}


@dataclass(frozen=True)
class Case:
    alert: str
    fires: dict
    calm: dict
    summary: str
    severity: str = "warning"
    labels: dict = field(default_factory=dict)  # those of the alert besides its name and severity


def gauge(name, labels, high, low, lasting=DAY):
    """Fires at `high`; calm at `low`, and when it has been high for no more than `lasting` seconds."""
    series = f"{name}{{{labels}}}"
    return {series: flat(high)}, {series: flat(low) if lasting == DAY else late(low, high, lasting)}


def case(alert, series, summary, **more):
    return Case(alert, *series, summary, **more)


CASES = [
    case("YizhanDown", gauge("up", G, 0, 1, 30), "yizhan-gateway g1:9100 does not answer on its admin port",
         severity="critical", labels=GATEWAY),
    Case("YizhanAbsent", {f"up{{{G}}}": flat(1)}, {f"up{{{G}}}": flat(1), f"up{{{W}}}": flat(0)},
         "Prometheus knows no yizhan-worker", severity="critical", labels={"job": "yizhan-worker"}),
    Case("YizhanTrouble", {f'yizhan_trouble{{{W},code="database_unreachable"}}': flat(1)},
         {f'yizhan_trouble{{{W},code="database_unreachable"}}': flat(0), f'yizhan_trouble{{{W},code="bus_slow"}}': flat(1)},
         "yizhan-worker w1:9100: database_unreachable", severity="critical", labels=WORKER | {"code": "database_unreachable"}),
    Case("YizhanDegraded", {f'yizhan_trouble{{{W},code="database_slow"}}': flat(1)},
         {f'yizhan_trouble{{{W},code="database_slow"}}': late(0, 1, 240), f'yizhan_trouble{{{W},code="events_full"}}': flat(1)},
         "yizhan-worker w1:9100: database_slow", labels=WORKER | {"code": "database_slow"}),
    case("YizhanBusDisconnected", gauge("yizhan_worker_bus_connected", W, 0, 1, 0),
         "yizhan-worker w1:9100 is not connected to NATS", severity="critical", labels=WORKER),
    case("YizhanBusDisconnected", gauge("yizhan_gateway_bus_connected", G, 0, 1, 0),
         "yizhan-gateway g1:9100 is not connected to NATS", severity="critical", labels=GATEWAY),
    Case("YizhanRestarts", {f"process_start_time_seconds{{{W}}}": "100+0x30 1000+0x10 1300+0x10 1600+0x10"},
         {f"process_start_time_seconds{{{W}}}": "100+0x30 1000+0x10 1300+0x30"},
         "yizhan-worker w1:9100 was started 3 times in half an hour", labels=WORKER),
    Case("YizhanMemoryNearLimit",
         {f"process_resident_memory_bytes{{{G}}}": flat(900), f"yizhan_memory_max_bytes{{{G}}}": flat(1000)},
         {f"process_resident_memory_bytes{{{G}}}": flat(840), f"yizhan_memory_max_bytes{{{G}}}": flat(1000),
          f"process_resident_memory_bytes{{{W}}}": flat(900), f"yizhan_memory_max_bytes{{{W}}}": flat(0)},
         "yizhan-gateway g1:9100 uses 90% of the memory it may have", labels=GATEWAY),
    Case("YizhanDescriptorsNearLimit", {f"process_open_fds{{{G}}}": flat(90), f"process_max_fds{{{G}}}": flat(100)},
         {f"process_open_fds{{{G}}}": flat(79), f"process_max_fds{{{G}}}": flat(100)},
         "yizhan-gateway g1:9100 uses 90% of its file descriptors", labels=GATEWAY),
    Case("YizhanClockAhead", {f"yizhan_gateway_clock_ahead_seconds{{{G}}}": flat(-3)},
         {f"yizhan_gateway_clock_ahead_seconds{{{G}}}": flat(0.9), f"yizhan_worker_clock_ahead_seconds{{{W}}}": flat(-0.9)},
         "the clock of g1:9100 and the broker's are 3s apart", labels=GATEWAY),
    case("YizhanClockAhead", gauge("yizhan_worker_clock_ahead_seconds", W, 2, 0.9),
         "the clock of w1:9100 and the broker's are 2s apart", labels=WORKER),
    Case("YizhanCertificateEnds", {f"yizhan_gateway_tls_not_after_seconds{{{G}}}": flat(NOW + 3 * DAY)},
         {f"yizhan_gateway_tls_not_after_seconds{{{G}}}": flat(NOW + 15 * DAY),
          'yizhan_gateway_tls_not_after_seconds{job="yizhan-gateway",instance="plain"}': flat(0)},
         "the TLS certificate of g1:9100 ends in 3d 0h 0m 0s", labels=GATEWAY),
    Case("YizhanAcceptSlow", histogram("yizhan_gateway_puback_seconds", G, 90, 10),
         histogram("yizhan_gateway_puback_seconds", G, 1000, 9),
         "one event in a hundred waits more than 1.9s for its PubAck"),
    Case("YizhanWindowShut",
         {f"yizhan_gateway_events_busy_total{{{G}}}": rising(60), f"yizhan_gateway_queries_busy_total{{{G}}}": flat(0)},
         {f"yizhan_gateway_events_busy_total{{{G}}}": flat(500), f"yizhan_gateway_queries_busy_total{{{G}}}": flat(7)},
         "2 events or queries a second are told busy: more comes than NATS or the workers take"),
    Case("YizhanBacklogGrowing", {f"yizhan_worker_events_waiting{{{W}}}": rising(100)},
         {f"yizhan_worker_events_waiting{{{W}}}": rising(-100, 100000)},
         "6k events wait for the workers, and it becomes more"),
    case("YizhanEventsStale", gauge("yizhan_worker_oldest_event_seconds", W, 90, 59),
         "an event has waited for 1m 30s to be settled", severity="critical"),
    Case("YizhanEventsNearlyFull",
         {f"yizhan_worker_events_bytes{{{W}}}": flat(75), f"yizhan_worker_events_max_bytes{{{W}}}": flat(100)},
         {f"yizhan_worker_events_bytes{{{W}}}": flat(69), f"yizhan_worker_events_max_bytes{{{W}}}": flat(100)},
         "EVENTS is 75% full; when it is full events are refused"),
    Case("YizhanPartitionsUnowned",
         {f"yizhan_worker_partitions{{{W}}}": flat(32), f"yizhan_worker_partitions{{{W2}}}": flat(30)},
         {f"yizhan_worker_partitions{{{W}}}": flat(32), f"yizhan_worker_partitions{{{W2}}}": late(32, 0, 30)},
         "only 62 of 64 partitions have an owner; events of the others wait", severity="critical"),
    case("YizhanDeadLetters", gauge("yizhan_worker_dead_letters", W, 2, 0),
         "2 events could not be processed and wait in DEADLETTERS"),
    Case("YizhanDeliveryLag", histogram("yizhan_gateway_delivery_lag_seconds", G, 90, 10),
         histogram("yizhan_gateway_delivery_lag_seconds", G, 1000, 9),
         "one delivery in a hundred comes more than 1.9s after its push was stored"),
    Case("YizhanSlowReaders",
         {f"yizhan_gateway_slow_readers_total{{{G}}}": rising(1), f"yizhan_gateway_sessions{{{G}}}": flat(1000)},
         {f"yizhan_gateway_slow_readers_total{{{G}}}": rising(1), f"yizhan_gateway_sessions{{{G}}}": flat(10000)},
         "20 sessions were closed in ten minutes since they read too slowly"),
    Case("YizhanInboundDropped", {f"yizhan_gateway_inbound_dropped_total{{{G}}}": rising(1)},
         {f"yizhan_gateway_inbound_dropped_total{{{G}}}": flat(900)},
         "g1:9100 cannot take what comes from the bus: 10 messages were dropped in five minutes and are read again",
         labels={"instance": "g1:9100"}),
    Case("YizhanChannelsLost", {f"yizhan_gateway_channels_lost_total{{{G}}}": rising(1)},
         {f"yizhan_gateway_channels_lost_total{{{G}}}": flat(12)},
         "20 channels could not be repaired; their sessions were closed and resume"),
    Case("YizhanResumesLost",
         {f"yizhan_gateway_resumes_lost_total{{{G}}}": rising(10), f"yizhan_gateway_resumes_recovered_total{{{G}}}": rising(90)},
         {f"yizhan_gateway_resumes_lost_total{{{G}}}": rising(4), f"yizhan_gateway_resumes_recovered_total{{{G}}}": rising(96)},
         "10% of the phones that come back have missed more than is kept"),
    Case("YizhanHandshakesRefused", {f"yizhan_gateway_handshakes_refused_total{{{G}}}": rising(15)},
         {f"yizhan_gateway_handshakes_refused_total{{{G}}}": flat(15)},
         "g1:9100 answers handshakes with 503: it holds its maximum of sessions, or drains", labels={"instance": "g1:9100"}),
]  # fmt: skip
