"""Play scenarios: python3 tests/faults/scenarios/play.py [--keep FOLDER] NAME...   (without NAME: the list)

YZ_BUILD_DIR names the programs. Exit code 1 when anything was violated; the last line is JSON: {"rules", "figures"}.
"""

import argparse
import json
import pathlib
import signal
import sys
import tempfile

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[n] / name) for n, name in ((1, ""), (2, "integration"))]

from scenarios import gateways, workers  # noqa: E402, F401  (they register themselves)
from scenarios.run import SCENARIOS, checker, play  # noqa: E402


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", help="folder for ledger, snapshot and logs")
    parser.add_argument("names", nargs="*")
    chosen = parser.parse_args(words)
    if not chosen.names:
        print("\n".join(SCENARIOS))
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # with the services that it started
    bad = 0
    for name in chosen.names:
        with tempfile.TemporaryDirectory(prefix=f"yizhan-{name}-") as scratch:
            found, figures = play(name, pathlib.Path(chosen.keep) / name if chosen.keep else scratch)
        print(checker.report(found) or f"{name}: nothing is violated")
        print(json.dumps({"rules": sorted({v.rule for v in found}), "figures": figures}))
        bad |= bool(found)
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
