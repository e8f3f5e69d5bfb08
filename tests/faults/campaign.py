"""The command scripts/faults: one run, or many with their sums."""

import argparse
import collections
import concurrent.futures
import json
import logging
import pathlib
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

import figures  # noqa: E402
import schedule  # noqa: E402
from kinds import KINDS  # noqa: E402
from run import Run, judge  # noqa: E402

SOAK_MINUTES = 30
_printing = threading.Lock()


def say(text, prefix=""):
    with _printing:
        print("\n".join(prefix + line for line in text.splitlines()), flush=True)


def parse(words):
    parser = argparse.ArgumentParser(prog="scripts/faults", description="Runs with faults; see scripts/faults --help.")
    parser.add_argument("--seed", "--seeds", default="1", dest="seeds", metavar="N or A..B")
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--fault", action="append", default=[], metavar="NAME")
    parser.add_argument("--cluster", action="store_true")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--soak", action="store_true")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--result", help=argparse.SUPPRESS)  # of a run of many: where its figures go
    chosen = parser.parse_args(words)
    unknown = sorted(set(chosen.fault) - set(KINDS))
    if unknown:
        parser.error(f"--fault {unknown[0]}: there is no such kind; --list shows all")
    if not (seeds := _range(chosen.seeds)):
        parser.error(f"--seed {chosen.seeds}: N or A..B, numbers from 1")
    chosen.seeds = seeds
    if chosen.minutes <= 0 or chosen.jobs < 1:
        parser.error("--minutes and --jobs are above 0")
    if chosen.soak:
        chosen.minutes = SOAK_MINUTES
    return chosen


def _range(text):
    """The numbers of "7" or "1..20"; empty: it is neither."""
    first, dots, last = text.partition("..")
    last = last if dots else first
    if not first.isdecimal() or not last.isdecimal() or not 1 <= int(first) <= int(last):
        return []
    return list(range(int(first), int(last) + 1))


def one(chosen, seed):
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # it warns of each send on a connection that broke
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f"yizhan-faults-{seed}-"))
    run = Run(folder, seed, chosen.minutes, chosen.cluster or None, chosen.fault, say=say)
    good, numbers = judge(run, chosen.keep)
    if chosen.result:
        pathlib.Path(chosen.result).write_text(json.dumps({**numbers, "faults": dict(numbers["faults"])}))
    return 0 if good else 1


def many(chosen, seeds):
    """Each seed in a process of its own; what they say, and the sums."""
    total, bad = {}, []
    with tempfile.TemporaryDirectory(prefix="yizhan-faults-") as results:
        with concurrent.futures.ThreadPoolExecutor(chosen.jobs) as pool:
            runs = {seed: pool.submit(_spawn, chosen, seed, pathlib.Path(results) / str(seed)) for seed in seeds}
            for seed, run in runs.items():
                if run.result() != 0:
                    bad.append(seed)
        for seed in seeds:
            path = pathlib.Path(results) / str(seed)
            if path.exists():
                numbers = json.loads(path.read_text())
                total = figures.add(total, {**numbers, "faults": collections.Counter(numbers["faults"])})
    say(f"\n{len(seeds)} runs of {chosen.minutes:g} minutes, seeds {seeds[0]} to {seeds[-1]}:")
    say(figures.table(total))
    say(rarest(total.get("faults", {}), chosen.fault or list(KINDS)))
    say(f"{len(seeds) - len(bad)} of {len(seeds)} passed" + (f"; failed: seeds {', '.join(map(str, bad))}" if bad else ""))
    return 1 if bad else 0


def rarest(faults, names):
    """The kind that came least often: of what never came nothing was shown."""
    least = min(faults.get(name, 0) for name in names)
    which = [name for name in names if faults.get(name, 0) == least]
    never = f"; NEVER: {', '.join(sorted(which))}" if least == 0 else ""
    return f"each of {len(names)} kinds came at least {least} times{never}"


def _spawn(chosen, seed, result):
    words = ["--seed", seed, "--minutes", chosen.minutes, "--result", result]
    words += [word for name in chosen.fault for word in ("--fault", name)]
    words += [f"--{name}" for name in ("cluster", "keep") if getattr(chosen, name)]
    with subprocess.Popen([sys.executable, "-u", __file__, *map(str, words)], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True) as process:  # fmt: skip
        for line in process.stdout:
            say(line.rstrip("\n"), f"[{seed}] ")
    return process.returncode


def listing(chosen, seeds):
    """Every kind, and how often it comes, where all that a kind needs is there."""
    single = {name: kind for name, kind in KINDS.items() if "cluster" not in kind.needs}
    cluster = {name: kind for name, kind in KINDS.items() if "single" not in kind.needs}
    counts = collections.Counter()
    for seed in seeds:
        kinds = cluster if schedule.is_cluster(seed) or chosen.cluster else single
        counts.update(schedule.names_for(seed, schedule.steps_in(chosen.minutes * 60), kinds, chosen.fault))
    say(f"{'kind':<28} {'in these runs':>13}  needs")
    for name, kind in sorted(KINDS.items()):
        say(f"{name:<28} {counts[name]:>13}  {', '.join(kind.needs)}")
    return 0


def main(words=None):
    chosen = parse(words)
    if chosen.list:
        return listing(chosen, chosen.seeds)
    return many(chosen, chosen.seeds) if len(chosen.seeds) > 1 else one(chosen, chosen.seeds[0])


if __name__ == "__main__":
    sys.exit(main())
