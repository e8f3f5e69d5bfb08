"""The demo of scripts/up --demo tells its whole story, twice, and the commands it prints at the end work as they stand."""

import json
import os
import re
import subprocess
import sys

import pytest
import tree

sys.path.insert(0, str(tree.ROOT / "tests" / "integration"))

from stack import Stack, built  # noqa: E402


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    running = Stack(tmp_path_factory.mktemp("demo"))
    running.keys.add("demo", "HS256")
    running.start()
    yield running
    running.end()


def play(stack):
    settings = {f"YZ_{name.upper()}": str(value) for name, value in stack.settings.items()}
    where = {"YZ_VAR": str(stack.folder / "var"), "YZ_LISTEN_PORT": str(stack.gateways[0].port),
             "YZ_BINARIES": str(built("yzctl").parent.parent), "YZ_LOG_LEVEL": "warn"}
    return subprocess.run([sys.executable, str(tree.ROOT / "scripts/demo")], env={**os.environ, **settings, **where},
                          capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def told(stack):
    """What the demo prints, the second time."""
    for _ in range(2):
        done = play(stack)
        assert done.returncode == 0, done.stdout + done.stderr + "\n".join(str(part) for part in stack.logs())
    return done.stdout


def test_the_story_has_its_chapters(told):
    for part in ("7 organisations on 3 levels, 40 members", "recovered, 2 missed", "REFUSED",
                 "5 of 10 are here", "the meeting is CLOSED, 5 came"):
        assert part in told, f"{part!r} is not in:\n{told}"


def test_the_printed_commands_work(stack, told):
    commands = [line for line in told.splitlines() if line.startswith(("curl ", "(printf "))]
    assert len(commands) == 3, told
    answers = [subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60) for command in commands]
    for command, answer in zip(commands, answers, strict=True):
        assert answer.returncode == 0, f"{command}\n{answer.stdout}{answer.stderr}"
    assert int(json.loads(answers[0].stdout)["sequence"]) > 0, answers[0].stdout
    assert len(json.loads(answers[1].stdout)["present"]) == 5, answers[1].stdout
    assert "welcome" in answers[2].stdout and "notice.posted" in answers[2].stdout, answers[2].stdout + answers[2].stderr


def test_forty_tokens_are_kept_for_the_owner_only(stack, told):
    folder = stack.folder / "var" / "demo"
    rows = (folder / "tokens.tsv").read_text().splitlines()
    assert len(rows) == 40 and all(re.fullmatch(r"m\d+\t\S+\t\S+\t\S+\.\S+\.\S+", row) for row in rows)
    assert folder.stat().st_mode & 0o077 == 0
