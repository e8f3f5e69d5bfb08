"""Fixtures: a stack for each test file, a tenant for each test, the logs of a failure."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from phone import ENCODINGS  # noqa: E402
from stack import Stack, Town  # noqa: E402


@pytest.fixture(scope="module")
def stack(request, tmp_path_factory):
    """A stack shared by the tests of a file; the file's SETTINGS change its settings."""
    settings = getattr(request.module, "SETTINGS", {})
    running = Stack(tmp_path_factory.mktemp("stack"), **settings).start()
    yield running
    running.end()


@pytest.fixture
def new_stack(tmp_path):
    """Stacks of the test's own, for those that break something."""
    started = []

    def make(**settings):
        made = Stack(tmp_path / f"stack{len(started)}", **settings)
        started.append(made)
        return made.start()

    make.started = started
    yield make
    for made in started:
        made.stop()
    for made in started:
        made.check()


@pytest.fixture
def town(stack):
    """A tenant of the test's own in the file's stack."""
    made = Town(stack)
    before = len(stack.phones)
    yield made
    for phone in stack.phones[before:]:
        phone.close()
    del stack.phones[before:]


@pytest.fixture(params=ENCODINGS)
def encoding(request):
    return request.param


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """The logs of all processes stand below a failure."""
    outcome = yield
    report = outcome.get_result()
    if not report.failed:
        return
    stacks = [item.funcargs[name] for name in ("stack",) if name in item.funcargs]
    stacks += getattr(item.funcargs.get("new_stack"), "started", [])
    for stack in stacks:
        for name, text in stack.logs():
            report.sections.append((f"log of {name}", text))
