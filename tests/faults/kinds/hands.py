"""What an operator can do with a slip of the hand: consumers, leases and buckets that are deleted or overwritten."""

import json

from kinds.kind import Kind, register
from waiting import until

PARTITIONS = 64


class ByHand(Kind):
    hold = (0.5, 4.0)

    def targets(self, world):
        return ["JetStream"]

    def touches(self, world, target):
        return world.way_to_nats()


@register
class DeleteConsumer(ByHand):
    """The consumers of some partitions are deleted."""

    name = "delete_consumer"
    loud = "yizhan_worker_leases_renewed_total, log consumer_broken"

    def begin(self, world, target, rng):
        names = until(lambda: world.by_hand(lambda: world.bus.api("CONSUMER.NAMES.EVENTS")).get("consumers"), 30,
                      what="EVENTS has consumers")  # fmt: skip
        chosen = rng.sample(sorted(names), min(len(names), rng.choice((1, 8, PARTITIONS))))
        for name in chosen:
            world.by_hand(lambda name=name: world.bus.api(f"CONSUMER.DELETE.EVENTS.{name}"))
        return {"consumers": len(chosen)}


class Lease(ByHand):
    def begin(self, world, target, rng):
        partitions = rng.sample(range(PARTITIONS), rng.choice((1, 8, PARTITIONS)))
        for number in partitions:
            world.by_hand(lambda number=number: world.bus.publish(f"$KV.PARTITIONS.p{number}", *self.value()))
        return {"partitions": len(partitions)}


@register
class DeleteLease(Lease):
    """As `nats kv del` does."""

    name = "delete_lease"
    loud = "yizhan_worker_leases_lost_total, log leases_lost"

    def value(self):
        return b"", {"KV-Operation": "DEL"}


@register
class OverwriteLease(Lease):
    """In the name of somebody who does not exist."""

    name = "overwrite_lease"
    loud = "yizhan_worker_leases_lost_total, log leases_lost"

    def value(self):
        return (json.dumps({"worker": "nobody", "state": "held", "since_ms": 0, "suspect_until": 0}).encode(),)


@register
class GarbleLease(Lease):
    """Something that is no lease at all."""

    name = "garble_lease"
    loud = "yizhan_worker_leases_lost_total, log leases_lost"

    def value(self):
        return (b"\xff not JSON",)


@register
class BucketsAnew(ByHand):
    """Both buckets are deleted under running workers, and made again."""

    name = "buckets_anew"
    loud = "/readyz of the workers: the bucket cannot be read"

    def begin(self, world, target, rng):
        for bucket in ("KV_PARTITIONS", "KV_WORKERS"):
            world.by_hand(lambda bucket=bucket: world.bus.api(f"STREAM.DELETE.{bucket}"))
        return {}

    def end(self, world, target):
        world.apply()
