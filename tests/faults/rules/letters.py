"""Rule (e): DEADLETTERS holds exactly what could not be processed, each with its reason, and it can be replayed."""

import collections

from .story import Violation

ATTEMPTS_MAX = 3  # as PROTOCOL.md and design say: beyond it an event that ends its worker is given up


def check(story):
    found = []
    letters = story.snapshot["streams"]["DEADLETTERS"]["messages"]
    by_origin = collections.defaultdict(list)
    for letter in letters:
        headers = letter["headers"]
        origin = int(headers.get("Yz-Origin-Sequence", 0))
        by_origin[origin].append(letter)
        if not origin or not headers.get("Yz-Dead-Reason") or not headers.get("Yz-Origin-Subject"):
            found.append(Violation("e", f"dead letter {letter['seq']} does not say why, or where it came from: {headers}",
                                   [letter["seq"]]))  # fmt: skip
        elif origin not in story.poison and letter["hash"] not in story.poison_unsure:
            _innocent(story, letter, found)
    _all_poison(story, by_origin, found)
    _outcomes(story, by_origin, found)
    _replay(story, found)
    return found


def _innocent(story, letter, found):
    """Not poisoned by us: only what ended its workers again and again may be here."""
    headers = letter["headers"]
    if not _given_up(letter):
        why = f"{headers['Yz-Dead-Reason']}, {headers.get('Yz-Dead-Attempts')} attempts"
        found.append(Violation("e", f"dead letter {letter['seq']} ({why}) is event {headers.get('ce-id')} of sequence "
                                    f"{headers['Yz-Origin-Sequence']}, which nobody poisoned",
                               [letter["seq"], headers.get("ce-id")]))  # fmt: skip


def _all_poison(story, by_origin, found):
    window_ms = story.snapshot["streams"]["DEADLETTERS"]["window_s"] * 1000
    for sequence, injected in story.poison.items():
        letters = by_origin.get(sequence, [])
        name = f"the poison of sequence {sequence} ({injected.get('tenant')}/{injected.get('actor')}/{injected.get('event')})"
        if not letters:
            found.append(Violation("e", f"{name} is not in DEADLETTERS", [sequence]))
        elif len(letters) > 1 and letters[-1]["ms"] - letters[0]["ms"] < window_ms:
            found.append(Violation("e", f"{name} is in DEADLETTERS {len(letters)} times", [m["seq"] for m in letters]))
        for letter in letters:
            _of_poison(name, injected, letter, found)
        key = injected.get("tenant"), injected.get("actor"), injected.get("event")
        if key in story.poison_keys and key not in story.by_key:
            _poison_outcome(story, name, key, sequence, found)


def _of_poison(name, injected, letter, found):
    """It was set aside for what is wrong with it, and as it came. Who meets enough faults may be given up before that."""
    reason = letter["headers"].get("Yz-Dead-Reason")
    if injected.get("reason") and reason != injected["reason"] and not _given_up(letter):
        found.append(Violation("e", f"{name} was set aside as {reason}, and it is {injected['reason']}", [letter["seq"]]))
    if injected.get("hash") and letter["hash"] != injected["hash"]:
        found.append(Violation("e", f"dead letter {letter['seq']} has another type or body than {name}", [letter["seq"]]))


def _given_up(letter):
    headers = letter["headers"]
    return headers.get("Yz-Dead-Reason") == "unprocessable" and int(headers.get("Yz-Dead-Attempts", 0)) > ATTEMPTS_MAX


def _poison_outcome(story, name, key, sequence, found):
    outcome = story.outcomes.get(key)
    kept = outcome and (outcome["status"], outcome["code"])
    if outcome is None or outcome["status"] != "dead_lettered" or not outcome["code"]:
        found.append(Violation("e", f"{name} has the outcome {kept}, and dead_lettered is due", [sequence]))
        return
    inbox = f"chan.{key[0]}.member.{key[1]}"
    messages = [m["push"] for m in story.snapshot["streams"]["CHANNELS"]["messages"] if m["subject"] == inbox]
    told = [p for p in messages if p["type"] == "event.outcome" and p["payload"].get("eventId") == key[2]]
    limit = story.snapshot["streams"]["CHANNELS"]["max_per_subject"]
    if not any(p["payload"]["status"] == "DEAD_LETTERED" for p in told) and not 0 < limit <= len(messages):
        found.append(Violation("e", f"{name} was not told to its sender", [sequence]))


def _outcomes(story, by_origin, found):
    for key, outcome in story.outcomes.items():
        if outcome["status"] != "dead_lettered":
            continue
        for letter in by_origin.get(outcome["sequence"], []):
            _of_outcome("/".join(key), outcome, letter, found)
        if outcome["sequence"] not in by_origin:
            found.append(Violation("e", f"{'/'.join(key)} has the outcome dead_lettered {outcome['code']}, and no letter of "
                                        f"sequence {outcome['sequence']} is in DEADLETTERS", [outcome["sequence"]]))  # fmt: skip


def _of_outcome(name, outcome, letter, found):
    """The letter is the event whose outcome it explains."""
    said = letter["headers"].get("Yz-Dead-Reason"), letter["hash"]
    if said != (outcome["code"], outcome["hash"]):
        found.append(Violation("e", f"dead letter {letter['seq']} ({said[0]}, content {said[1]}) is not the event {name}, whose "
                                    f"outcome is {outcome['code']} of {outcome['hash']}", [letter["seq"], name]))  # fmt: skip


def _replay(story, found):
    replay = story.snapshot.get("replay")
    if replay is None:
        return
    name = f"the replay of dead letter {replay['letter']} as event {replay['event']}"
    if not replay["settled"]:
        found.append(Violation("e", f"{name} was not settled in time", [replay["event"]]))
    elif not replay["actor"]:
        # An outcome is its actor's, by (tenant, actor, event id): of an event without one there is none to keep or to tell.
        if replay["status"] is not None or not replay["back"]:
            found.append(Violation("e", f"{name}, which has no actor, has the outcome {replay['status']} and "
                                        f"{'is' if replay['back'] else 'is not'} back in DEADLETTERS",
                                   [replay["event"]]))  # fmt: skip
    elif replay["reason"] == "unprocessable" and replay["status"] not in ("applied", "refused"):
        found.append(Violation("e", f"{name}, which ends no worker any more, has the outcome {replay['status']} {replay['code']}",
                               [replay["event"]]))  # fmt: skip
    elif replay["status"] not in ("applied", "refused", "dead_lettered"):
        found.append(Violation("e", f"{name} has the outcome {replay['status']}", [replay["event"]]))
    elif (replay["status"] == "dead_lettered") != replay["back"]:
        found.append(Violation("e", f"{name} has the outcome {replay['status']} {replay['code']}, and "
                                    f"{'is' if replay['back'] else 'is not'} back in DEADLETTERS",
                               [replay["event"]]))  # fmt: skip
