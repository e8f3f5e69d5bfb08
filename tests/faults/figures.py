"""The numbers of a run, read from its ledger; and the sums over many."""

import collections

OUTAGE_S = 1.0  # no Accepted for longer than this, though events were waiting for one


def of_ledger(lines):
    """Figures by name, in the order in which they are shown; lists of faults as `faults`."""
    counts = collections.Counter(line["kind"] for line in lines)
    emits = [line for line in lines if line["kind"] == "emit"]
    devices, places = collections.Counter(), {}
    faults = collections.Counter()
    for line in lines:
        if line["kind"] == "open":
            devices[line["tenant"], line["device"]] += 1
            places[line["session"]] = (line["tenant"], line["member"])
        elif line["kind"] == "fault" and line["phase"] == "begin":
            faults[line["name"]] += 1
    accepted = {(places.get(line["session"]), line["event"]) for line in lines if line["kind"] == "accepted"}
    return {
        "events offered": len({(e["tenant"], e["member"], e["event"]) for e in emits}),
        "events accepted": len(accepted),
        "copies sent": counts["emit"],
        "copies accepted": counts["accepted"],
        "told to be duplicates": sum(line["kind"] == "accepted" and line["duplicate"] for line in lines),
        **_offered_again(lines, emits, places),
        "temporary errors": sum(line["kind"] == "error" and line["temporary"] for line in lines),
        "refused at once": sum(line["kind"] == "error" and not line["temporary"] for line in lines),
        "sessions": counts["open"],
        "reconnects": sum(devices.values()) - len(devices),
        "connections broken": sum(line["kind"] == "close" and not line["asked"] and line["code"] == 1006 for line in lines),
        "closed by the server with a reconnect code": sum(
            line["kind"] == "close" and 3000 <= line["code"] < 3500 for line in lines
        ),
        "subscriptions": counts["subscribe"],
        "of these with everything recovered": sum(line["kind"] == "subscribe" and line["recovered"] for line in lines),
        "pushes received": counts["push"],
        "values received": counts["value"],
        "seconds of outage": round(outage_s(lines), 1),
        "seconds from the first session to the end": round(lines[-1]["t"] - next(
            (line["t"] for line in lines if line["kind"] == "open"), lines[-1]["t"]), 1),
        "faults": faults,
    }


def _offered_again(lines, emits, places):
    """Copies after the first acceptance, and other payloads under a used id."""
    first, payloads, conflicts, duplicates = {}, {}, set(), 0
    for line in lines:
        if line["kind"] == "accepted":
            first.setdefault((places.get(line["session"]), line["event"]), line["t"])
    for emit in emits:
        key = ((emit["tenant"], emit["member"]), emit["event"])
        body = (emit["type"], repr(emit["payload"]))
        if payloads.setdefault(key, body) != body:
            conflicts.add((key, body))
        elif key in first and emit["t"] > first[key]:
            duplicates += 1
    owners = collections.defaultdict(set)
    for (tenant, member), event in payloads:
        owners[event].add((tenant, member))
    return {
        "duplicates offered": duplicates,
        "conflicts offered": len(conflicts),
        "ids used by more than one member": sum(len(who) > 1 for who in owners.values()),
    }


def outage_s(lines):
    """Time in which events were offered and none was accepted, counted where it is longer than OUTAGE_S."""
    total, since = 0.0, None
    for line in lines:
        if line["kind"] == "emit" and since is None:
            since = line["t"]
        elif line["kind"] == "accepted" and since is not None:
            total += line["t"] - since if line["t"] - since > OUTAGE_S else 0
            since = None
    return total


def add(one, other):
    """Sums of two runs' figures; of what is a maximum, the greater."""
    total = dict(one)
    for name, value in other.items():
        if isinstance(value, collections.Counter):
            total[name] = total.get(name, collections.Counter()) + value
        elif name.startswith("most "):
            total[name] = max(total.get(name, 0), value)
        else:
            total[name] = total.get(name, 0) + value
    return total


def table(figures):
    lines = [f"  {name:<46} {_shown(value)}" for name, value in figures.items() if name != "faults"]
    faults = figures.get("faults", {})
    lines.append(f"  {'faults':<46} {sum(faults.values())}, of {len(faults)} kinds")
    lines += [f"    {name:<44} {count}" for name, count in sorted(faults.items())]
    return "\n".join(lines)


def _shown(value):
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"
