"""A program that a sanitizer finds at fault fails its test: with a program that races, and one that leaks."""

import subprocess

import pytest

import sanitizers
from stack import Process

RACES = """
#include <pthread.h>
static int shared;
static void *add(void *arg) { shared++; return arg; }
int main(void) { pthread_t t; pthread_create(&t, 0, add, 0); shared++; pthread_join(t, 0); return 0; }
"""
LEAKS = """
#include <stdlib.h>
static void *volatile kept;
int main(void) { kept = malloc(100); kept = 0; return 0; }
"""
SOUND = "int main(void) { return 0; }"


def run(folder, name, source, flag):
    program = folder / name
    subprocess.run(["cc", "-g", "-O0", f"-fsanitize={flag}", "-pthread", "-x", "c", "-o", program, "-"],
                   input=source, text=True, check=True)  # fmt: skip
    Process(name, [program], folder).start().wait()


@pytest.mark.parametrize("source, flag, found", [(RACES, "thread", "data race"), (LEAKS, "address", "LeakSanitizer")])
def test_what_is_found_fails_the_test(tmp_path, source, flag, found):
    run(tmp_path, "program", source, flag)
    with pytest.raises(AssertionError, match=found):
        sanitizers.check(tmp_path)


@pytest.mark.parametrize("flag", ["thread", "address"])
def test_a_sound_program_passes(tmp_path, flag):
    run(tmp_path, "program", SOUND, flag)
    sanitizers.check(tmp_path)
