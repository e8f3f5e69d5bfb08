#!/usr/bin/env python3
"""The benchmark: each scenario beside its baseline, alternating, in the same run. scripts/bench sets up and calls this.

    run.py --all                  every scenario
    run.py --only fanout memory   these
    run.py --smoke                every scenario (or those of --only) in seconds, with sizes that measure nothing: does it work?
    run.py --list                 names and goals

    --rounds N   rounds of each case (3); their median counts, the least and the greatest are shown
    --backlog N  events that wait in the scenario backlog (1,000,000)
    --case TEXT  only cases whose name matches (a regular expression)
    --out DIR    bench.json, bench.md and the plots go there (var/bench)

Exit code 1: something did not work, or a count was wrong. A missed goal is told, and is no failure.
"""

import argparse
import importlib
import json
import pathlib
import re
import sys
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))

from bench import Bench, Failure  # noqa: E402
from report import figures, machine, plot, table  # noqa: E402

# In this order: what others read comes before them. A scenario is a file of scenarios/ with this name.
ORDER = ("fanout", "channels", "memory", "arrival", "ingest", "settle", "backlog", "endtoend", "processes", "million")


def scenarios():
    """{name: module} of all that are there."""
    found = {path.stem for path in (HERE / "scenarios").glob("[a-z]*.py")}
    unknown = found - set(ORDER)
    assert not unknown, f"not in ORDER: {unknown}"
    return {name: importlib.import_module(f"scenarios.{name}") for name in ORDER if name in found}


def arguments(words):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--only", nargs="+", metavar="NAME")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--backlog", type=int, default=1000000)
    parser.add_argument("--case")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "var" / "bench")
    given = parser.parse_args(words)
    if given.rounds < 1:
        parser.error("--rounds is at least 1")
    if not (given.all or given.smoke or given.only or given.list):
        parser.error("one of --all, --only, --smoke, --list")
    return given


def with_needs(names, modules):
    """The scenarios asked for and those whose figures they read, in ORDER."""
    wanted = set(names)
    for name in names:
        wanted |= set(getattr(modules[name], "NEEDS", ()))
    return [name for name in modules if name in wanted]


def run_one(bench, name, module):
    """{"rows", "seconds"} or {"failed": why, "seconds"}."""
    print(f"\n## {name}", file=sys.stderr, flush=True)
    bench.scenario, began = name, time.monotonic()
    try:
        rows = module.run(bench)
        if not rows and not bench.only_cases:
            raise Failure("gave no row")
        result = {"rows": rows}
    except Failure as failure:
        result = {"failed": str(failure)}
    except Exception:
        result = {"failed": traceback.format_exc()}
    result["seconds"] = time.monotonic() - began
    return result


def text_of(name, module, result, judge):
    """The scenario's part of the Markdown."""
    parts = [f"## {name}", "", f"{(module.__doc__ or '').strip().splitlines()[0]}", ""]
    if "failed" in result:
        return "\n".join([*parts, f"**did not work:** {result['failed']}", ""])
    parts += [table.markdown(result["rows"], judge), ""]
    parts += [f"![{unit}]({file})" for unit, file in result.get("plots", {}).items()]
    return "\n".join([*parts, "", f"{result['seconds']:.0f} s", ""])


def goals_of(results):
    """The table of all goals, or nothing."""
    text = table.goals({name: result.get("rows", []) for name, result in results.items()})
    return f"## Goals\n\n{text}\n" if text else ""


def head_of(words, seconds):
    return "\n".join(["# scripts/bench", "", f"`scripts/bench {' '.join(words)}`, {seconds:.0f} s", "",
                      *(f"- {what}: {text}" for what, text in machine.describe(ROOT).items()), ""])  # fmt: skip


def write_plots(out, name, result):
    result["plots"] = {}
    for unit, rows in table.by_unit(result.get("rows", [])).items():
        file = f"{name}-{re.sub(r'[^a-z0-9]+', '-', unit.lower().replace('µ', 'u')).strip('-')}.svg"
        (out / file).write_text(plot.svg(f"{name}: {unit}", rows))
        result["plots"][unit] = file


def write(out, words, seconds, results, modules, bench):
    out.mkdir(parents=True, exist_ok=True)
    for name, result in results.items():
        if getattr(modules[name], "PLOTS", True):
            write_plots(out, name, result)
    told = {
        "command": ["scripts/bench", *words],
        "seconds": seconds,
        "machine": machine.describe(ROOT),
        "figures": bench.figures,
        "scenarios": {
            name: {**result, "goals": modules[name].GOALS, "rows": [figures.as_json(row) for row in result.get("rows", [])]}
            for name, result in results.items()
        },
    }
    (out / "bench.json").write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    texts = [text_of(name, modules[name], result, not bench.smoke) for name, result in results.items()]
    (out / "bench.md").write_text("\n".join([head_of(words, seconds), *([] if bench.smoke else [goals_of(results)]), *texts]))


def summary(results):
    rows = [row for result in results.values() for row in result.get("rows", []) if row.goal]
    reached = sum(figures.verdict(row) for row in rows)
    return f"{reached} of {len(rows)} goals reached" if rows else "no goals"


def main(words):
    given, modules = arguments(words), scenarios()
    if given.list:
        for name, module in modules.items():
            print(f"{name}: {(module.__doc__ or '').strip().splitlines()[0]}")
            print("".join(f"    {goal}\n" for goal in module.GOALS), end="")
        return 0
    names = given.only or list(modules)
    unknown = set(names) - set(modules)
    if unknown:
        print(f"no scenario {', '.join(sorted(unknown))}; there are: {', '.join(modules)}", file=sys.stderr)
        return 2
    bench = Bench(given.smoke, given.rounds, given.out, given.case)
    bench.backlog = given.backlog
    began, results = time.monotonic(), {}
    for name in with_needs(names, modules):
        results[name] = run_one(bench, name, modules[name])
        print(text_of(name, modules[name], results[name], not given.smoke), flush=True)
    seconds = time.monotonic() - began
    write(given.out, words, seconds, results, modules, bench)
    if not given.smoke:
        print(goals_of(results))
    failed = [name for name, result in results.items() if "failed" in result]
    verdict = f"did not work: {', '.join(failed)}" if failed else "all work" if given.smoke else summary(results)
    print(f"{seconds:.0f} s; {verdict}; {given.out}/bench.md", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
