#!/usr/bin/env python3
"""settings_table.py [--write] GATEWAY-PROGRAM: the README's settings table, compared with the programs' own option
table or written from it."""

import subprocess
import sys

from tree import ROOT

BEGIN, END = "<!-- settings:begin -->\n", "<!-- settings:end -->"
README = ROOT / "README.md"


def wanted(program):
    return subprocess.run([program, "--help-markdown"], capture_output=True, text=True, check=True).stdout


def split():
    """README.md as the text before the table, the table, and the text after it."""
    before, begin, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    table, end, after = rest.partition(END)
    assert begin and end, f"README.md lacks the line {begin or BEGIN}"
    return before, table, after


def main():
    program = sys.argv[-1]
    before, table, after = split()
    if "--write" in sys.argv:
        README.write_text(before + BEGIN + wanted(program) + END + after, encoding="utf-8")
        return 0
    return 0 if table == wanted(program) else 1


if __name__ == "__main__":
    sys.exit(main())
