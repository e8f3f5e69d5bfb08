"""What the contracts of the schemas say of a payload (the program ask_contract of the build), and from that which fields a type
wants, how long its texts may be, and which of them are ids."""

import json
import os
import pathlib
import subprocess
import sys

from tree import ROOT

sys.path.insert(0, str(ROOT / "tests/integration"))

from test_authority import PAYLOADS  # noqa: E402  (behind its path on purpose)

# name: values that a text of the form may have, values that it may not
FORMS = {
    "id": (["x" * 64, "A-z_0"], ["x" * 65, "a.b", "a/b", "a b", "名"]),
    "path": (["a", "a/b", "/".join(["a"] * 12)], ["/".join(["a"] * 13), "a//b", "/a", "a/", "a.b", "/".join(["x" * 64] * 4)]),
}
LONGEST = 70000  # characters; what takes more has no limit but the frame's


def program():
    folders = filter(None, [os.environ.get("YZ_BUILD_DIR"), ROOT / "build/debug", ROOT / "build/release"])
    for folder in folders:
        if os.access(path := pathlib.Path(folder) / "tests/ask_contract", os.X_OK):
            return path
    raise RuntimeError("tests/ask_contract is in no build folder: build first")


def posted():
    """Queries that are asked by POST alone."""
    told = subprocess.run([program(), "--types"], capture_output=True, text=True, check=True).stdout
    return {line.split()[1] for line in told.splitlines() if line.endswith(" posted")}


def tables():
    """type: (payload or request, reply or None), full names of messages, as the contracts name them."""
    told = subprocess.run([program(), "--types"], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in told.splitlines()]
    return {name: (f".{messages[0]}", f".{messages[1]}" if kind == "query" else None) for kind, name, *messages in rows}


class Contracts:
    """The program under way."""

    def __enter__(self):
        self._asked = subprocess.Popen([program()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_):
        self._asked.stdin.close()
        self._asked.stdout.close()
        self._asked.wait()

    def ask(self, name, payload):
        """(code, field), code "ok" when it is taken."""
        self._asked.stdin.write(f"{name} {json.dumps(payload)}\n")
        self._asked.stdin.flush()
        code, _, field = self._asked.stdout.readline().rstrip("\n").partition(" ")
        return code, field

    def sample(self, name):
        """A payload that the contract takes, with nothing in it that it would take it without."""
        payload = PAYLOADS[name]("g1/c1/b1")
        if (said := self.ask(name, payload)) != ("ok", ""):
            raise RuntimeError(f"{name}: {said} of {payload}: is the build older than the schemas?")
        for field in list(payload):
            less = {key: value for key, value in payload.items() if key != field}
            if self.ask(name, less)[0] == "ok":
                payload = less
        return payload

    def wanted(self, name):
        """Fields without which a payload is refused as lacking them."""
        sample = self.sample(name)
        return [field for field in sample
                if self.ask(name, {k: v for k, v in sample.items() if k != field}) == ("missing_field", field)]  # fmt: skip

    def longest(self, name, field):
        """Characters that a text field may have; None: as many as fit."""
        sample = self.sample(name)

        def too_long(count):
            return self.ask(name, {**sample, field: "x" * count}) == ("too_long", field)

        if not too_long(LONGEST):
            return None
        low, high = 0, LONGEST  # low is taken, high is too long
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if too_long(middle) else (middle, high)
        return low

    def form(self, name, field):
        """The form of a text field, a key of FORMS; None: another one."""
        sample = self.sample(name)

        def refused(value):
            return self.ask(name, {**sample, field: value}) == ("invalid_value", field)

        for form, (good, bad) in FORMS.items():
            if all(map(refused, bad)) and not any(map(refused, good)):
                return form
        return None
