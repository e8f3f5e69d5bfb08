"""Events put straight into EVENTS, as a gateway with a fault or a stranger with the password would."""

from people import new_id


def fnv1a(text):
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


def partition(tenant, aggregate):
    value = fnv1a(f"{tenant}\n{aggregate}")
    return (value ^ value >> 32) % 64


def headers(tenant, event_id, type_="notice.published", **changes):
    """Those of a notice n1 by the secretary; a change to None takes one out."""
    made = {
        "ce-specversion": "1.0", "ce-id": event_id, "ce-source": "test", "ce-type": type_,
        "ce-subject": "notice|n1", "content-type": "application/protobuf", "ce-tenant": tenant,
        "ce-actor": "sec", "ce-orgpath": "g1/c1/b1", "ce-roles": "member,secretary@g1/c1/b1",
        "ce-schemaversion": "1", "Nats-Msg-Id": new_id(),
    }  # fmt: skip
    made.update(changes)
    return {k: v for k, v in made.items() if v is not None}
