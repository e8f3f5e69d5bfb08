"""The seeded bugs of tests/faults/mutants fit the tree as it is: a patch that no longer applies is a check that is gone."""

import os
import pathlib
import re
import subprocess

import pytest
import tree

PATCHES = sorted(tree.files("tests/faults/mutants/*.patch"))
NAMED = {  # those that the checker must catch at the very least
    "ack_before_write", "bare_event_id", "consumer_reused", "count_by_increment", "dirty_session_dropped",
    "duplicate_key_is_success", "no_second_read", "resume_off_by_one", "two_owners",
}  # fmt: skip


def header(path):
    return tree.text(path).partition("\ndiff --git ")[0]


def test_the_mutants_that_must_be_there_are():
    assert NAMED <= {pathlib.Path(path).stem for path in PATCHES}


@pytest.mark.parametrize("path", PATCHES)
def test_a_mutant_applies(path):
    done = subprocess.run(["git", "apply", "--check", "--whitespace=nowarn", str(tree.ROOT / path)], cwd=tree.ROOT,
                          capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          env={**os.environ, "GIT_CEILING_DIRECTORIES": str(tree.ROOT.parent)})  # fmt: skip
    assert done.returncode == 0, f"make {path} anew: the source has changed under it\n{done.stderr}"


@pytest.mark.parametrize("path", PATCHES)
def test_a_mutant_says_what_it_is(path):
    scenarios = "".join(tree.text(each) for each in tree.files("tests/faults/scenarios/*.py"))
    rule = re.search(r"^Rule: ([a-h](?: [a-h])*|-)$", header(path), re.MULTILINE)
    scenario = re.search(r"^Scenario: (\w+)$", header(path), re.MULTILINE)
    assert rule and scenario and header(path).partition("\n")[0].endswith("."), "a sentence, a rule and a scenario"
    assert f"\ndef {scenario[1]}(run):" in scenarios, f"there is no scenario {scenario[1]}"


@pytest.mark.parametrize("path", PATCHES)
def test_a_mutant_touches_only_what_is_shipped(path):
    touched = set(re.findall(r"^\+\+\+ b/(\S+)$", tree.text(path), re.MULTILINE))
    assert touched and all(re.fullmatch(r"(common|gateway|schemas|workers)/.*\.[ch]", each) for each in touched), touched
