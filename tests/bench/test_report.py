"""What the report makes of samples: median, ratio of rounds, verdict, table, plot."""

import pathlib
import sys
import xml.etree.ElementTree

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from bench import Bench, Failure, Row  # noqa: E402
from report import figures, plot, table  # noqa: E402


def row(**changes):
    return Row(**{"case": "a case", "unit": "µs", "ours": [2.0, 30.0, 4.0], "baseline": "bare", "base": [1.0, 10.0, 4.0],
                  **changes})  # fmt: skip


def test_the_ratio_is_the_median_of_the_rounds_ratios():
    assert figures.ratios(row()) == [2.0, 3.0, 1.0]
    assert figures.ratio(row()) == 2.0  # medians alone would say 4 / 4


@pytest.mark.parametrize(("goal", "goal_of", "reached"), [
    ("<= 2", "ratio", True), ("<= 1.99", "ratio", False), (">= 2", "ratio", True), (">= 2.01", "ratio", False),
    ("<= 4", "value", True), ("<= 3.9", "value", False), (">= 4", "value", True), (None, "ratio", None)])
def test_the_verdict_compares_with_the_goal(goal, goal_of, reached):
    assert figures.verdict(row(goal=goal, goal_of=goal_of)) is reached


def test_a_goal_of_a_ratio_needs_a_baseline():
    with pytest.raises(ValueError):
        figures.verdict(row(goal="<= 1", baseline=None, base=None))


@pytest.mark.parametrize("changes", [{"base": [1.0]}, {"base": None}, {"ours": []}, {"goal": "< 1"}, {"goal_of": "x"}])
def test_a_row_that_makes_no_sense_is_refused(changes):
    with pytest.raises(AssertionError):
        row(**changes)


@pytest.mark.parametrize(("value", "text"), [
    (0, "0"), (1234567, "1,230,000"), (999.6, "1e+03"), (0.01234, "0.0123"), (12.345, "12.3"), (45678, "45,700")])
def test_numbers_have_three_figures(value, text):
    assert figures.number(value) == text.replace("1e+03", "1,000")


def test_spread_names_the_least_and_the_greatest():
    assert figures.spread([3.0, 1.0, 2.0]) == "2 (1..3)"
    assert figures.spread([3.0]) == "3"


def test_all_goals_stand_in_one_table():
    last = row(case="next", baseline=None, base=None, goal="<= 5", goal_of="value")
    rows = {"first": [row(goal="<= 1.15"), row(case="without")], "second": [last]}
    lines = table.goals(rows).splitlines()
    assert len(lines) == 4 and "without" not in "".join(lines)
    assert lines[2].startswith("| first") and "bare: 4" in lines[2] and "<= 1.15: **missed**" in lines[2]
    assert lines[3].startswith("| second") and "<= 5: reached" in lines[3]


def test_no_goals_no_table():
    assert table.goals({"first": [row()]}) == ""


def test_the_table_tells_the_verdict_and_a_smoke_run_does_not():
    rows = [row(goal="<= 1.15", note="one note"), row(baseline="other", base=[2.0, 30.0, 4.0], goal="<= 1.15", note="one note"),
            row(case="next", baseline=None, base=None, goal="<= 5", goal_of="value"), row(unit="things")]  # fmt: skip
    text = table.markdown(rows)
    line = next(line for line in text.splitlines() if line.startswith("| a case"))
    assert "<= 1.15: **missed**" in line and "<= 1.15: reached" in line and line.index("missed") < line.index("reached")
    assert "<= 5: reached" in next(line for line in text.splitlines() if line.startswith("| next"))
    assert text.count("- one note") == 1 and text.count("** (less is better)") == 2
    first = text.split("**things**")[0]
    assert len({line.count("|") for line in first.splitlines() if line.startswith("|")}) == 1
    assert "missed" not in table.markdown(rows, judge=False)


def test_the_plot_is_xml_with_a_bar_for_each_sample_set():
    rows = [row(), row(baseline="other"), row(case="b < c", ours=[500.0] * 3, base=[1.0] * 3)]
    root = xml.etree.ElementTree.fromstring(plot.svg("title & more", rows))
    bars = [r for r in root.iter("{http://www.w3.org/2000/svg}rect") if r.get("x") == str(plot.LABELS)]
    assert len(bars) == 5 + 1  # two and three bars, and ours in the legend
    assert "logarithmic" in plot.svg("title", rows) and "logarithmic" not in plot.svg("title", [row()])


def test_rounds_alternate_and_turn_around():
    order = []
    samples = Bench(rounds=3).alternate(a=lambda: order.append("a") or 1, b=lambda: order.append("b") or 2)
    assert order == ["a", "b", "b", "a", "a", "b"] and samples == {"a": [1, 1, 1], "b": [2, 2, 2]}


def test_a_figure_comes_from_this_run_or_not_at_all():
    bench = Bench()
    bench.scenario = "memory"
    bench.keep("bytes", 7)
    assert bench.figure("memory", "bytes") == 7
    with pytest.raises(Failure):
        bench.figure("memory", "other")
