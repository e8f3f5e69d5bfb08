"""SECURITY.md names tests that exist, and every file it links."""

import re

import tree

TEXT = tree.text("SECURITY.md")


def integration_tests():
    """it.<file> and it.<file>::<function>"""
    names = set()
    for path in tree.files("tests/integration/test_*.py"):
        stem = "it." + path.rsplit("/test_", 1)[1].removesuffix(".py")
        names |= {stem} | {f"{stem}::{name}" for name in re.findall(r"^def (test_\w+)", tree.text(path), re.M)}
    return names


def unit_tests():
    names = set()
    for path in tree.files("tests/*/test_*.c", "tests/*/*/test_*.c"):
        folder, name = path.removeprefix("tests/").removesuffix(".c").rsplit("/test_", 1)
        names.add(f"unit.{folder.replace('/', '_')}.{name}")
    return names


def other_tests():
    names = {"check." + path.rsplit("/test_", 1)[1].removesuffix(".py") for path in tree.files("tests/checks/test_*.py")}
    return names | {"fuzz." + path.rsplit("/fuzz_", 1)[1].removesuffix(".c") for path in tree.files("tests/fuzz/fuzz_*.c")}


def test_each_promise_names_a_test_that_exists():
    named = set(re.findall(r"`((?:it|unit|check|fuzz)\.[\w.:]+)`", TEXT))
    assert len(named) > 15
    assert named - integration_tests() - unit_tests() - other_tests() == set()


def test_each_row_of_promises_names_a_test():
    promises = TEXT.split("## What is promised, and by which test")[1].split("## What is not promised")[0]
    rows = [line for line in promises.splitlines() if line.startswith("|") and not line.startswith(("|---", "| promise "))]
    assert rows and not [row for row in rows if "`" not in row.rstrip("|").rpartition("|")[2]]


def test_each_link_leads_somewhere():
    for target in re.findall(r"\]\(([^)#:]+)\)", TEXT):
        assert (tree.ROOT / target).exists(), target
    for script in re.findall(r"`(scripts/[\w-]+)`", TEXT):
        assert (tree.ROOT / script).exists(), script
