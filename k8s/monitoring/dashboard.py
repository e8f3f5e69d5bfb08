#!/usr/bin/env python3
"""dashboard.py [--write]: dashboard.json for Grafana, from the rows and panels below, or compared with them."""

import json
import pathlib
import sys

FILE = pathlib.Path(__file__).with_name("dashboard.json")
RATE = "$__rate_interval"
WIDTH, HEIGHT, COLUMNS = 6, 7, 24


def rate(metric, by=""):
    return f"sum{f' by ({by})' if by else ''} (rate({metric}{{instance=~\"$instance\"}}[{RATE}]))"


def total(metric, by=""):
    return f"sum{f' by ({by})' if by else ''} ({metric}{{instance=~\"$instance\"}})"


def most(metric):
    """What each worker tells of the whole system."""
    return f"max({metric})"


def quantiles(metric, by=""):
    keys = f"le, {by}" if by else "le"
    legend = f"{{{{{by}}}}} " if by else ""
    return [(f"histogram_quantile({q}, {rate(metric + '_bucket', keys)})", f"{legend}p{q * 100:g}")
            for q in ((0.5, 0.99) if by else (0.5, 0.99, 0.999))]  # fmt: skip


def mean(metric, by=""):
    return f"{rate(metric + '_sum', by)} / {rate(metric + '_count', by)}"


G, W = "yizhan_gateway_", "yizhan_worker_"
# (title, unit, [(expression, legend)], what it says)
ROWS = {
    "Traffic": [
        ("Sessions", "short", [(total(f"{G}sessions", "instance"), "{{instance}}")], "Open WebSocket sessions of each gateway."),
        ("Frames and requests in", "reqps", [
            (rate(f"{G}frames_received_total"), "frames"), (rate(f"{G}http_requests_total"), "HTTP requests")], ""),
        ("Deliveries and events", "ops", [
            (rate(f"{G}deliveries_total"), "deliveries"), (rate(f"{G}events_accepted_total"), "events accepted"),
            (rate(f"{G}queries_total"), "queries")], ""),
        ("Refusals by code", "ops", [(rate(f"{G}refused_total", "code") + " > 0", "{{code}}")], "Errors answered."),
    ],
    "Fan-out": [
        ("Coalescing", "short", [
            (f"{rate(f'{G}deliveries_total')} / {rate(f'{G}writes_total')}", "deliveries a write"),
        ], "How many pushes one write to a socket carries; replies are writes as well."),
        ("CPU of a delivery", "s", [
            (f"sum(rate(process_cpu_seconds_total{{job=\"yizhan-gateway\",instance=~\"$instance\"}}[{RATE}])) / "
             f"{rate(f'{G}deliveries_total')}", "CPU a delivery")],
         "All of the gateways' CPU, whatever it was spent on, for each delivery."),
        ("Delivery lag", "s", quantiles(f"{G}delivery_lag_seconds"),
         "From the broker's timestamp of a push until its sessions were written to."),
        ("Bytes to the sockets", "Bps", [
            (rate(f"{G}write_bytes_total"), "written"),
            (rate(f"{G}push_size_bytes_sum"), "pushes in")], "The difference is the fan-out."),
        ("Channels", "short", [
            (total(f"{G}channels"), "channels"), (total(f"{G}subscribers"), "subscriptions")], ""),
        ("Push size", "bytes", quantiles(f"{G}push_size_bytes"), "Of live pushes, each counted once."),
        ("Waiting for slow sockets", "bytes", [(total(f"{G}backlog_bytes", "instance"), "{{instance}}")],
         "Bounded for each session by YZ_SESSION_BACKLOG_MAX_BYTES."),
        ("Slow readers", "short", [
            (total(f"{G}backlog_sessions"), "something waits"),
            (rate(f"{G}slow_readers_total") + " * 60", "closed a minute")], ""),
    ],
    "Arrival": [
        ("Sessions opened", "ops", [
            (rate(f"{G}sessions_opened_total"), "opened"), (rate(f"{G}handshakes_refused_total"), "answered 503"),
            (rate(f"{G}connections_refused_total"), "closed at once")], ""),
        ("Resumes", "ops", [
            (rate(f"{G}resumes_recovered_total"), "recovered"), (rate(f"{G}resumes_lost_total"), "had missed too much"),
            (rate(f"{G}resumes_from_memory_total"), "needed no read")], ""),
        ("History reads", "ops", [
            (rate(f"{G}history_reads_total"), "reads"), (rate(f"{G}pushes_repaired_total"), "pushes repaired")],
         "Reads of a channel's past from its stream: one for all who missed the same."),
        ("Pushes kept for resumes", "bytes", [(total(f"{G}recent_bytes", "instance"), "{{instance}}")], ""),
        ("Pauses", "ops", [
            (rate(f"{G}accept_pauses_total"), "accepting"), (rate(f"{G}rests_total"), "reading a session")],
         "At YZ_ACCEPTS_PER_S, and for sessions that send too much."),
    ],
    "Ingest": [
        ("Arrival to PubAck", "s", quantiles(f"{G}puback_seconds"), "What a phone waits for its Accepted, without the network."),
        ("Window", "short", [
            (total(f"{G}uplink_window"), "may wait"), (total(f"{G}uplink_pending"), "wait for their PubAck"),
            (total(f"{G}query_window"), "queries that may wait"), (total(f"{G}queries_pending"), "queries waiting")], ""),
        ("Told busy, failed", "ops", [
            (rate(f"{G}events_busy_total"), "window full"), (rate(f"{G}events_busy_member_total"), "member's share"),
            (rate(f"{G}queries_busy_total"), "query window full"), (rate(f"{G}events_failed_total"), "events failed")], ""),
        ("Queues to and from NATS", "short", [
            (total(f"{G}bus_queued"), "to the sender"), (total(f"{G}inbound_queued"), "to the loop")], ""),
    ],
    "Workers": [
        ("Events", "ops", [
            (rate(f"{W}events_received_total"), "received"), (rate(f"{W}events_settled_total"), "settled"),
            (rate(f"{W}events_refused_total"), "refused"), (rate(f"{W}events_duplicate_total"), "duplicate")], ""),
        ("Stored to taken", "s", quantiles(f"{W}event_wait_seconds"),
         "For each event: from the broker's timestamp until its batch began."),
        ("Stages of a batch, mean", "s", [(mean(f"{W}stage_seconds", "stage"), "{{stage}}")], ""),
        ("Stages of a batch, p99", "s", [
            (f"histogram_quantile(0.99, {rate(f'{W}stage_seconds_bucket', 'le, stage')})", "{{stage}}")], ""),
        ("Batch", "s", quantiles(f"{W}batch_seconds"), "From taken to settled."),
        ("Events in a batch", "short", [(mean(f"{W}batch_events"), "mean"), *quantiles(f"{W}batch_events")],
         "One by one when idle; up to YZ_BATCH_MAX under load."),
        ("Pushes and values", "ops", [
            (rate(f"{W}pushes_total"), "pushes"), (rate(f"{W}values_total"), "values"),
            (rate(f"{W}values_merged_total"), "values merged")], ""),
        ("Queries", "s", quantiles(f"{W}query_seconds"), ""),
    ],
    "Streams": [
        ("Waiting in EVENTS", "short", [(most(f"{W}events_waiting"), "events")], "All partitions together: the consumers' lag."),
        ("Oldest unsettled event", "s", [(most(f"{W}oldest_event_seconds"), "age")], ""),
        ("EVENTS, of its maximum", "percentunit", [
            (f"{most(f'{W}events_bytes')} / {most(f'{W}events_max_bytes')}", "full")], "Full, it refuses."),
        ("Dead letters", "short", [(most(f"{W}dead_letters"), "waiting for an operator")], ""),
        ("Partitions", "short", [(total(f"{W}partitions", "instance"), "{{instance}}")], "64 in all."),
        ("Leases", "ops", [
            (rate(f"{W}leases_taken_total"), "taken"), (rate(f"{W}leases_lost_total"), "lost"),
            (rate(f"{W}leases_renewed_total"), "consumers made anew")], ""),
        ("Round trips", "s", [
            (f"max({G}bus_round_trip_seconds)", "gateway to JetStream"),
            (f"max({W}bus_round_trip_seconds)", "worker to JetStream"),
            (f"max({W}database_round_trip_seconds)", "worker to the database")], ""),
        ("Batches held", "short", [(total(f"{W}batches_waiting"), "waiting for database or bus")], ""),
    ],
    "Trouble": [
        ("What processes find wrong", "short", [
            ("sum by (job, instance, code) (yizhan_trouble) > 0", "{{job}} {{instance}} {{code}}")],
         "common/trouble.def; k8s/RUNBOOK.md says what to do."),
        ("Gaps", "ops", [
            (rate(f"{G}gaps_found_total"), "found"), (rate(f"{G}inbound_dropped_total"), "dropped at the inbound queue"),
            (rate(f"{G}channels_lost_total"), "channels lost")], ""),
        ("Memory", "bytes", [
            ("process_resident_memory_bytes{instance=~\"$instance\"}", "{{job}} {{instance}}")], ""),
        ("CPU", "short", [
            (f"rate(process_cpu_seconds_total{{instance=~\"$instance\"}}[{RATE}])", "{{job}} {{instance}}")], "Cores."),
        ("Clock less the broker's", "s", [
            (f"{G}clock_ahead_seconds", "{{instance}}"), (f"{W}clock_ahead_seconds", "{{instance}}")], ""),
        ("Reconnects", "ops", [
            (rate(f"{G}bus_reconnects_total"), "gateways to NATS"), (rate(f"{W}bus_reconnects_total"), "workers to NATS")], ""),
        ("File descriptors", "percentunit", [
            ("process_open_fds{instance=~\"$instance\"} / process_max_fds", "{{job}} {{instance}}")], "In use."),
        ("Certificate ends in", "s", [
            (f"({G}tls_not_after_seconds > 0) - time()", "{{instance}}")], ""),
    ],
}  # fmt: skip


def panel(number, place, title, unit, targets, text):
    row, column = divmod(place, COLUMNS // WIDTH)
    return {
        "id": number, "type": "timeseries", "title": title, "description": text,
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "gridPos": {"x": column * WIDTH, "y": row * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": unit, "custom": {"fillOpacity": 8, "showPoints": "never"}}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}},
        "targets": [{"refId": chr(ord("A") + n), "expr": expr, "legendFormat": legend}
                    for n, (expr, legend) in enumerate(targets)],
    }  # fmt: skip


def panels():
    """Rows with their panels, numbered and placed."""
    placed, number, top = [], 0, 0
    for title, content in ROWS.items():
        number += 1
        placed.append({"id": number, "type": "row", "title": title, "collapsed": False, "panels": [],
                       "gridPos": {"x": 0, "y": top, "w": COLUMNS, "h": 1}})  # fmt: skip
        top += 1
        for place, words in enumerate(content):
            number += 1
            one = panel(number, place, *words)
            one["gridPos"]["y"] += top
            placed.append(one)
        top = placed[-1]["gridPos"]["y"] + HEIGHT
    return placed


def variable(name, kind, **more):
    return {"name": name, "type": kind, "label": name, "hide": 0, **more}


def wanted():
    query = 'label_values(up{job=~"yizhan-(gateway|worker)"}, instance)'
    board = {
        "uid": "yizhan", "title": "Yizhan", "tags": ["yizhan"], "schemaVersion": 39, "version": 1, "editable": True,
        "timezone": "browser", "refresh": "30s", "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [
            variable("datasource", "datasource", query="prometheus"),
            variable("instance", "query", query=query, datasource={"type": "prometheus", "uid": "${datasource}"},
                     refresh=2, multi=True, includeAll=True, allValue=".*", current={"text": "All", "value": "$__all"}),
        ]},
        "panels": panels(),
    }  # fmt: skip
    return json.dumps(board, indent=1, ensure_ascii=False) + "\n"


def main():
    if "--write" in sys.argv:
        FILE.write_text(wanted(), encoding="utf-8")
    return 0 if FILE.read_text(encoding="utf-8") == wanted() else 1


if __name__ == "__main__":
    sys.exit(main())
