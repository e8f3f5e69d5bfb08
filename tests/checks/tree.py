"""The tree as the checks see it: what git holds, or would take."""

import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def files(*patterns):
    """Paths relative to ROOT of the files that match git's patterns."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", *patterns],
        cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return sorted(name for name in set(listed.split("\0")) if name and (ROOT / name).is_file())


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def macro_rows(name, macro):
    """The arguments of each line `MACRO(...)` of a .def file, strings without their quotes."""
    rows = []
    for line in text(name).splitlines():
        match = re.match(rf"{macro}\((.*)\)\s*$", line.strip())
        if match:
            parts = re.findall(r'"(?:[^"\\]|\\.)*"|[^,\s][^,]*', match.group(1))
            rows.append([part.strip().strip('"') for part in parts])
    assert rows, f"{name} holds no {macro} line"
    return rows
