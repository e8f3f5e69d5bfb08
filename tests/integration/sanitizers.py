"""What a sanitizer found in our programs: told into the stack's folder, so that no test passes over it.

A program built with -fsanitize writes its reports to <folder>/sanitizer.<pid> and goes on (a race, a leak at its end)
or ends (a bad access, undefined behaviour).
"""

import pathlib

import wire

NAME = "sanitizer"
SUPPRESSIONS = pathlib.Path(__file__).resolve().parent.parent
REPORT_LINES = 60


def environment(folder):
    """For a program whose reports belong into this folder; of no effect on one built without."""
    log = f"log_path={pathlib.Path(folder) / NAME}"
    return {
        "TSAN_OPTIONS": f"{log}:suppressions={SUPPRESSIONS / 'tsan.supp'}:history_size=4:second_deadlock_stack=1",
        "ASAN_OPTIONS": f"{log}:detect_leaks=1",
        "LSAN_OPTIONS": f"suppressions={SUPPRESSIONS / 'lsan.supp'}:print_suppressions=0",
        "UBSAN_OPTIONS": f"{log}:print_stacktrace=1",
    }


def built_in():
    """The programs under test carry one, by their build's own words."""
    cache = wire.BUILD / "CMakeCache.txt"
    return cache.exists() and "-fsanitize=" in cache.read_text()


def reports(folder):
    """[(name, text)] of what was found so far."""
    found = sorted(pathlib.Path(folder).glob(f"{NAME}.*"))
    return [(path.name, path.read_text(errors="replace")) for path in found if path.stat().st_size]


def check(folder):
    found = reports(folder)
    text = "\n".join(f"{name}:\n" + "\n".join(report.splitlines()[:REPORT_LINES]) for name, report in found)
    assert not found, f"{len(found)} programs were found at fault\n{text}"
