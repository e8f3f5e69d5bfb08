#!/usr/bin/env python3
"""rules_table.py [--write]: schemas/rules/RULES.md, written from the list of rules (workers/rules.def) and the packs
(schemas/rules/*.json), or compared with them."""

import json
import re
import sys

from tree import ROOT

FOLDER = ROOT / "schemas/rules"
FILE = FOLDER / "RULES.md"
OPENING = """\
# Rule packs

Written by `scripts/format` from `workers/rules.def` and the packs beside this file. What regulation sets is here and not in
the code: each pack has versions, a version has the day from which it is in force (its local midnight), where it comes from
and a value for every rule. A decision takes the version in force when the broker stored its event, and its document keeps
the version's name: a later version changes nothing that was decided.

The workers hold these files as they were when they were built. `YZ_RULES_DIR` names a folder with other ones, all packs in
it; a file with an unknown, missing or out-of-bounds rule, a name twice, days out of order or no provenance is refused at
start with its place, and the worker ends with code 2. To change a rule, add a version with its day; never edit one that was
in force.
"""


def packs():
    """(name, [(rule, low, high, help)]) in the order of rules.def."""
    found = []
    for line in (ROOT / "workers/rules.def").read_text(encoding="utf-8").splitlines():
        if match := re.match(r"PACK\((\w+),", line):
            found.append((match[1], []))
        elif match := re.match(r'\s+RULE\((\w+), (-?\d+), (-?\d+), "([^"]*)"\)', line):
            found[-1][1].append((match[1], int(match[2]), int(match[3]), match[4]))
        elif "RULE(" in line and not line.startswith(("/*", " *")):
            raise ValueError(f"rules.def: one rule on one line, {line}")
    return found


def read(name):
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def section(name, rules):
    pack = read(name)
    versions = pack["versions"]
    lines = [f"\n## {name} ({pack['title']})\n"]
    lines += [f"- `{v['version']}`, from {v['effective_from']}: {v['provenance']}" for v in versions]
    lines += ["", f"| rule | what it says | bounds | {' | '.join(v['version'] for v in versions)} |"]
    lines += [f"|---|---|---|{'---|' * len(versions)}"]
    for rule, low, high, text in rules:
        values = " | ".join(str(v["rules"][rule]) for v in versions)
        lines += [f"| `{rule}` | {text} | {low} to {high} | {values} |"]
    return "\n".join(lines) + "\n"


def wanted():
    return OPENING + "".join(section(*pack) for pack in packs())


def main():
    if "--write" in sys.argv:
        FILE.write_text(wanted(), encoding="utf-8")
    return 0 if FILE.read_text(encoding="utf-8") == wanted() else 1


if __name__ == "__main__":
    sys.exit(main())
