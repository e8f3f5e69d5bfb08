"""Nothing committed belongs to one machine: no absolute home or scratch path, no registry's host, no credential."""

import os
import re
import subprocess

import tree

# The words are put together here, so that this file does not find itself.
FORBIDDEN = {
    "a path of one machine": r"/(?:home|root|Users)/\w|/wo" + r"rk/|/tm" + r"p/w/",
    "a package registry's host": "|".join(
        host.replace(" ", r"\.") for host in
        ("deb debian org", "pypi org", "files pythonhosted org", "proxy golang org", "sum golang org", "crates io/api",
         "static crates io", "index crates io", "registry npmjs org", "repo1 maven org")),
    "a private key": "-----BEGIN [A-Z ]*PRIVATE" + " KEY-----",
    "a token": r"\beyJ[A-Za-z0-9_-]{20,}\.eyJ[A-Za-z0-9_-]{20,}",
    "a password in a URL": r"://[^/\s:@'\"{}$<>]+:[^/\s:@'\"{}$<>]{4,}@",
}
BINARY = (".png", ".jpg", ".ico")


def test_nothing_of_one_machine_is_committed():
    found = []
    for path in tree.files():
        if path.endswith(BINARY) or path.startswith("tests/fuzz/corpus/") or path == "tests/checks/test_committed.py":
            continue
        try:
            lines = tree.text(path).splitlines()
        except UnicodeDecodeError:
            found.append(f"{path}: not UTF-8")
            continue
        for number, line in enumerate(lines, 1):
            for what, pattern in FORBIDDEN.items():
                if re.search(pattern, line):
                    found.append(f"{path}:{number}: {what}: {line.strip()[:80]}")
    assert not found, "\n".join(found)


def test_generated_and_local_files_stay_out():
    assert not tree.files("build/*", "var/*", "*.pyc", "*.o")


def test_the_licence_is_there():
    licence = tree.text("LICENSE")
    assert "Apache License" in licence and "Version 2.0, January 2004" in licence


def test_every_script_says_what_it_is_and_does_nothing_when_asked():
    for path in tree.files("scripts/*"):
        program = tree.ROOT / path
        if "/" in path.removeprefix("scripts/") or not os.access(program, os.X_OK) or path == "scripts/yzctl":
            continue  # yzctl is the program's own: it.* know it
        asked = subprocess.run([program, "--help"], capture_output=True, text=True, timeout=60, check=False)
        assert asked.returncode == 0 and asked.stdout and not asked.stderr, (path, asked)
