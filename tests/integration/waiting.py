"""Waiting for a condition with a deadline: the only way in which these tests wait."""

import time


class TooLate(AssertionError):
    """The condition did not come true in time."""


def until(condition, timeout=30.0, every=0.02, what=None):
    """Call condition() until it is truthy and return its value; raise TooLate after timeout seconds."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TooLate(f"not within {timeout} s: {what or condition.__name__} (last: {value!r})")
        time.sleep(every)


def holds(condition, seconds, every=0.05, what=None):
    """condition() stays truthy for the whole time; for what must not happen."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert condition(), f"came about within {seconds} s: not {what or condition.__name__}"
        time.sleep(every)
