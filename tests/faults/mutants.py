"""Seeded bugs that the checker must catch: scripts/faults --mutants [NAME...]

Each mutants/*.patch is one bug in the product's C source. Its header says in plain words what is wrong, by which rule
the checker must find it (one of several, where the bug breaks more than one) and in which scenario it shows. For each:
the patch is applied to a copy of the tree, the programs are built, the scenario is played against real services, and
the checker must report a violation of the rule. The unmutated programs must pass the same scenarios, and with no NAME all
that there are.

A patch with the rule "-" is a control: harm that the product must heal, of which the checker must say nothing.
"""

import argparse
import concurrent.futures
import dataclasses
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PATCHES = HERE / "mutants"
PROGRAMS = {"yz-gateway": "gateway", "yz-worker": "workers", "yzctl": "workers"}
PLAY_S = 400  # a scenario takes 5 to 20 s where nothing else runs
STARTS = 3


@dataclasses.dataclass
class Mutant:
    name: str
    patch: pathlib.Path
    why: str
    rules: list
    scenario: str
    tries: int  # how often it is played, where it takes luck for the bug to show

    @property
    def is_control(self):
        return self.rules == ["-"]


class Broken(Exception):
    """A patch does not apply or the tree does not build: nothing can be said of the checker."""


def read_all():
    return [read(path) for path in sorted(PATCHES.glob("*.patch"))]


def read(path):
    head = path.read_text(encoding="utf-8").partition("\ndiff --git ")[0]
    fields = dict(re.findall(r"^(Rule|Scenario|Tries): (.+)$", head, re.MULTILINE))
    return Mutant(path.stem, path, head.partition("\n\n")[0], fields["Rule"].split(), fields["Scenario"],
                  int(fields.get("Tries", 1)))  # fmt: skip


def apply(tree, patch, *options):
    """git apply on a folder, whether it lies in a repository or not."""
    done = subprocess.run(["git", "apply", "--whitespace=nowarn", *options, str(patch)], cwd=tree, text=True,
                          stdin=subprocess.DEVNULL, capture_output=True,
                          env={**os.environ, "GIT_CEILING_DIRECTORIES": str(pathlib.Path(tree).parent)})  # fmt: skip
    if done.returncode:
        raise Broken(f"{pathlib.Path(patch).stem}: the patch does not apply; make it anew:\n{done.stderr.strip()}")


class Workshop:
    """A copy of the tree with a build folder of its own, and the programs that came out of it, by mutant.

    Lifetime: the folder stays, so that the next time only what has changed is built. Thread: one.
    """

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.tree, self.build = self.folder / "tree", self.folder / "build"

    def copy(self):
        """Files that differ are copied, others keep their times; what is gone is removed."""
        listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, check=True,
                                capture_output=True, text=True).stdout.split("\0")  # fmt: skip
        wanted = {path for path in listed if path and (ROOT / path).is_file()}
        for path in wanted:
            source, target = ROOT / path, self.tree / path
            if not target.exists() or target.read_bytes() != source.read_bytes():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)
        for target in [path for path in self.tree.rglob("*") if path.is_file()]:
            if str(target.relative_to(self.tree)) not in wanted:
                target.unlink()

    def make(self, name):
        """Build, and keep the programs under this name."""
        if not (self.build / "build.ninja").exists():
            _run(["cmake", "-S", self.tree, "-B", self.build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Debug",
                  "-DCMAKE_C_FLAGS=-O1 -g", "-DYZ_FAULTS=ON", "-DYZ_TESTS=OFF"], "cmake")  # fmt: skip
        _run(["ninja", "-k", "1", "-C", self.build, *PROGRAMS], f"{name} does not build")
        kept = self.programs(name)
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
        for program, part in PROGRAMS.items():
            shutil.copy(self.build / part / program, kept / program)

    def programs(self, name):
        return self.folder / "programs" / name

    def mutate(self, mutant):
        apply(self.tree, mutant.patch)
        try:
            self.make(mutant.name)
        finally:
            apply(self.tree, mutant.patch, "-R")


def _run(words, what):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise Broken(f"{what}:\n{done.stdout[-3000:]}{done.stderr[-1000:]}")


@dataclasses.dataclass
class Play:
    rules: list  # that were violated
    text: str
    seconds: float
    ended: bool = True

    @property
    def sound(self):
        return self.ended and not self.rules


def play(programs, scenario, keep=None):
    """One run of a scenario with these programs; again when it could not be played, as on a machine that is too busy."""
    for _ in range(STARTS):
        done = play_once(programs, scenario, keep)
        if done.ended:
            break
    return done


def play_once(programs, scenario, keep):
    """In a process of its own: the programs are named by its environment."""
    began = time.monotonic()
    if keep:
        shutil.rmtree(keep / scenario, ignore_errors=True)
    words = [sys.executable, HERE / "scenarios" / "play.py", scenario]
    words += ["--keep", str(keep)] if keep else []
    with subprocess.Popen([str(word) for word in words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          stdin=subprocess.DEVNULL, env={**os.environ, "YZ_BUILD_DIR": str(programs)}) as player:  # fmt: skip
        try:
            out, err = player.communicate(timeout=PLAY_S)
        except subprocess.TimeoutExpired:
            player.send_signal(signal.SIGINT)  # it ends its services
            player.wait()
            return Play([], f"no end within {PLAY_S} s", time.monotonic() - began, False)
    last = (out.strip().splitlines() or [""])[-1]
    seconds = time.monotonic() - began
    if not last.startswith("{"):
        return Play([], f"it could not be played:\n{out[-1000:]}{err[-2000:]}", seconds, False)
    return Play(json.loads(last)["rules"], out.rpartition("\n{")[0] + err[-500:], seconds)


def hunt(workshop, mutant, keep):
    """Play until the checker finds what it must; (whether it did, all plays). A control must be found sound."""
    plays = []
    for number in range(mutant.tries):
        plays.append(play(workshop.programs(mutant.name), mutant.scenario, keep and keep / f"{mutant.name}-{number}"))
        if set(plays[-1].rules) & set(mutant.rules) or (mutant.is_control and plays[-1].sound):
            return True, plays
    return False, plays


def first_of(play_, rules):
    """The first violation of one of these rules, for the table."""
    rows = [row for row in play_.text.splitlines() if row[:1] == "(" and row[1:2] in rules]
    return rows[0][:150] if rows else play_.text.strip()[:150]


def all_scenarios(programs):
    done = subprocess.run([sys.executable, HERE / "scenarios" / "play.py"], capture_output=True, text=True, check=True,
                          env={**os.environ, "YZ_BUILD_DIR": str(programs)})  # fmt: skip
    return done.stdout.split()


def check_sound(workshop, scenarios, pool, keep):
    """The programs as they are must pass: else a violation says nothing about a mutant."""
    plays = {name: pool.submit(play, workshop.programs("sound"), name, keep and keep / "sound") for name in scenarios}
    good = True
    for name, future in plays.items():
        done = future.result()
        if not done.sound:
            good = False
            print(f"{'sound':<26} {name:<24} VIOLATED {' '.join(done.rules)}\n{done.text}", flush=True)
        else:
            print(f"{'sound':<26} {name:<24} passes{done.seconds:>31.0f} s", flush=True)
    return good


def run(mutants, workshop, jobs, keep, everything):
    """Build all, play all; the table. True when every mutant was caught. everything: scenarios without a mutant, too."""
    workshop.copy()
    workshop.make("sound")
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        hunts = {}
        for mutant in mutants:
            workshop.mutate(mutant)
            hunts[mutant.name] = pool.submit(hunt, workshop, mutant, keep)
        scenarios = {mutant.scenario for mutant in mutants} | set(all_scenarios(workshop.programs("sound")) if everything else ())
        good = check_sound(workshop, sorted(scenarios), pool, keep)
        for mutant in mutants:
            caught, plays = hunts[mutant.name].result()
            good = good and caught
            seconds = sum(each.seconds for each in plays)
            said = first_of(plays[-1], mutant.rules)
            verdict = ("heals" if caught else "BLAMED") if mutant.is_control else "caught" if caught else "SURVIVED"
            print(f"{mutant.name:<26} {mutant.scenario:<24} rule {' or '.join(mutant.rules):<8} {verdict:<9} "
                  f"by {' '.join(plays[-1].rules) or '-':<8}{seconds:>4.0f} s  {said}", flush=True)  # fmt: skip
    return good


def main(words=None):
    parser = argparse.ArgumentParser(prog="scripts/faults --mutants", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("names", nargs="*", metavar="NAME", help="of mutants; none: all")
    parser.add_argument("--jobs", type=int, default=1, help="scenarios played side by side")
    parser.add_argument("--list", action="store_true", help="what they are")
    parser.add_argument("--keep", type=pathlib.Path, help="folder for ledgers, snapshots and logs")
    chosen = parser.parse_args(words)
    mutants = read_all()
    unknown = sorted(set(chosen.names) - {mutant.name for mutant in mutants})
    if unknown or chosen.jobs < 1:
        parser.error(f"{unknown[0]}: there is no such mutant; --list shows all" if unknown else "--jobs is above 0")
    if chosen.list:
        for mutant in mutants:
            print(f"{mutant.name:<26} rule {' or '.join(mutant.rules):<8} {mutant.why}")
        return 0
    wanted = [mutant for mutant in mutants if not chosen.names or mutant.name in chosen.names]
    try:
        good = run(wanted, Workshop(ROOT / "build" / "mutants"), chosen.jobs, chosen.keep, not chosen.names)
    except Broken as broken:
        print(broken, file=sys.stderr)
        return 2
    print(f"{len(wanted)} mutants, {'all caught' if good else 'NOT all caught, or the sound programs were blamed'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
