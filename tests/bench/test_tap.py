"""The tap reads the broker's times where they stand."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from tap import DELIVERED, PUSH_ID, STAMP, nanoseconds  # noqa: E402


def test_a_time_has_up_to_nine_digits():
    assert nanoseconds("1970-01-01T00:00:01.000000007Z") == 1000000007
    assert nanoseconds("2026-03-01T08:00:00.5Z") == 1772352000500000000
    assert nanoseconds("2026-03-01T08:00:00Z") == 1772352000000000000


def test_a_delivery_names_its_sequence_and_time():
    short = b"$JS.ACK.EVENTS.p12-7.1.1099511627777.5.1772352000123456789.0"
    long = b"$JS.ACK.hub.account.EVENTS.p12-7.1.1099511627777.5.1772352000123456789.0.token"
    for reply in (short, long):
        assert DELIVERED.match(reply).groups() == (b"1099511627777", b"1772352000123456789")
    assert not DELIVERED.match(b"$JS.ACK.THREADS.p12-7.1.1099511627777.5.1772352000123456789.0")


def test_a_push_names_its_time_and_its_event():
    body = b"NATS/1.0\r\nNats-Time-Stamp: 2026-03-01T08:00:00.5Z\r\nNats-Sequence: 4\r\n\r\n\x0a\x0f1099511627779-0"
    stamp = STAMP.search(body)
    assert nanoseconds(stamp[1].decode()) == 1772352000500000000
    assert PUSH_ID.search(body, stamp.end())[1] == b"1099511627779"
