"""k8s/monitoring: alerts fire when they should and not when they should not, and alerts, dashboard and runbook name no metric,
code or label that does not exist."""

import json
import pathlib
import re
import subprocess
import sys

import pytest
import tree
import yaml
from alert_cases import CASES, NOW, STEP_S

for folder in ("tests/integration", "k8s/monitoring"):
    sys.path.insert(0, str(tree.ROOT / folder))

import dashboard  # noqa: E402
import metric_list  # noqa: E402
import metrics_table  # noqa: E402

RULES = yaml.safe_load(tree.text("k8s/monitoring/alerts.yaml"))["spec"]
ALERTS = {rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"]}
BOARD = json.loads(tree.text("k8s/monitoring/dashboard.json"))
METRICS = {metric.name: metric for program in metric_list.LISTS for metric in metric_list.of(program)}
SAMPLES = {sample: metric for metric in METRICS.values() for sample in metric.samples}
NAME = re.compile(r"\b(?:yizhan|process)_[a-z_]+")
LABELS_OF_A_SCRAPE = {"job", "instance", "le"}
ANCHOR = "k8s/RUNBOOK.md#alert-"


def panels():
    return [panel for panel in BOARD["panels"] if panel["type"] != "row"]


def dashboard_expressions():
    return [target["expr"] for panel in panels() for target in panel["targets"]]


def promtool(*words, cwd):
    return subprocess.run([metric_list.promtool(), *words], cwd=cwd, capture_output=True, text=True)


@pytest.fixture
def rules(tmp_path):
    (tmp_path / "alerts.rules.yaml").write_text(yaml.safe_dump(RULES))
    return tmp_path


def test_promtool_takes_the_rules(rules):
    done = promtool("check", "rules", "alerts.rules.yaml", cwd=rules)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(ALERTS)} rules found" in done.stdout


def test_promtool_takes_the_dashboards_expressions(tmp_path):
    expressions = [expr.replace("$__rate_interval", "1m").replace("$instance", ".*") for expr in dashboard_expressions()]
    assert not [expr for expr in expressions if "$" in expr]
    rows = [{"record": f"panel:{number}", "expr": expr} for number, expr in enumerate(expressions)]
    (tmp_path / "panels.yaml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rows}]}))
    done = promtool("check", "rules", "panels.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def expected(case):
    annotations = {"summary": case.summary, "runbook": f"{ANCHOR}{case.alert.lower()}"}
    return {"exp_labels": {"severity": case.severity, **case.labels}, "exp_annotations": annotations}


def play(case, what, series, alerts):
    return {
        "name": f"{case.alert} {what}",
        "interval": f"{STEP_S}s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [{"eval_time": f"{NOW}s", "alertname": case.alert, "exp_alerts": alerts}],
    }


def test_an_alert_fires_when_it_should_and_only_then(rules):
    tests = []
    for case in CASES:
        tests += [play(case, "fires", case.fires, [expected(case)]), play(case, "is calm", case.calm, [])]
    (rules / "test.yaml").write_text(yaml.safe_dump(
        {"rule_files": ["alerts.rules.yaml"], "evaluation_interval": f"{STEP_S}s", "tests": tests}))  # fmt: skip
    done = promtool("test", "rules", "test.yaml", cwd=rules)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_has_its_case():
    assert {case.alert for case in CASES} == set(ALERTS)


def test_the_cases_use_real_metrics():
    for case in CASES:
        for series in {**case.fires, **case.calm}:
            name = series.partition("{")[0]
            assert name == "up" or name in SAMPLES, series


def test_each_alert_says_what_to_do():
    rows = dict(re.findall(r"^\| <a id=\"(alert-[a-z]+)\"></a>`(\w+)` \|", tree.text("k8s/RUNBOOK.md"), re.M))
    assert {f"alert-{alert.lower()}": alert for alert in ALERTS} == rows
    for name, alert in ALERTS.items():
        assert alert["labels"]["severity"] in ("critical", "warning"), name
        assert alert["annotations"]["summary"], name
        assert alert["annotations"]["runbook"] == f"{ANCHOR}{name.lower()}", name


def test_the_runbooks_alerts_point_at_rows_that_exist():
    text = tree.text("k8s/RUNBOOK.md")
    rows = text.split("<!-- rows:begin -->")[1].split("<!-- rows:end -->")[0].splitlines()[3:]
    faults = {fault for row in rows for fault in re.findall(r"`(\w+)`", row.split("|")[1])}
    named = re.findall(r"^\| <a id=\"alert-.*\| ([^|]*) \|$", text, re.M)
    assert len(named) == len(ALERTS)
    unknown = {word for cell in named for word in re.findall(r"`([a-z_]+)`", cell)} - faults
    assert not unknown


def test_every_trouble_raises_one_alert():
    troubles = {row[0]: row[1] for row in tree.macro_rows("common/trouble.def", "TROUBLE")}
    own = {"bus_disconnected", "events_stale", "clock_skewed", "certificate_expiring"}  # alerts with figures
    left_out, taken = (re.search(r'code!?[=!]~"([^"]*)"', ALERTS[name]["expr"])[1].split("|")
                       for name in ("YizhanTrouble", "YizhanDegraded"))  # fmt: skip
    assert set(left_out) <= set(troubles) and set(taken) <= set(troubles)
    assert set(troubles) - set(left_out) == {code for code, level in troubles.items() if level == "ERROR"} - own
    assert set(taken) == {code for code, level in troubles.items() if level == "WARN"} - own


@pytest.mark.parametrize("source", ["alerts", "dashboard", "runbook", "readme"])
def test_every_named_metric_exists(source):
    expressions = {
        "alerts": [alert["expr"] for alert in ALERTS.values()],
        "dashboard": dashboard_expressions(),
        "runbook": re.findall(r"`([^`]*(?:yizhan|process)_[a-z][^`]*)`", tree.text("k8s/RUNBOOK.md")),
        "readme": re.findall(r"`((?:yizhan|process)_[a-z_]+)`", tree.text("README.md")),
    }[source]
    assert expressions
    known = set(SAMPLES) | (set(METRICS) if source == "readme" else set())  # a text may name a histogram as a whole
    for expr in expressions:
        names = NAME.findall(re.sub(r'"[^"]*"', "", expr))
        assert names or "up" in expr, expr
        unknown = set(names) - known
        assert not unknown, f"{source}: no such metric: {unknown}"


def labels_in(expr):
    """(metric, label) of each selector."""
    for name, inside in re.findall(r"((?:yizhan|process)_[a-z_]+)\{([^}]*)\}", expr):
        yield from ((name, label) for label in re.findall(r"([a-z_]+)\s*[=!]", inside))


def test_every_selected_label_exists():
    expressions = dashboard_expressions() + [alert["expr"] for alert in ALERTS.values()]
    for expr in expressions:
        for name, label in labels_in(expr):
            assert label in LABELS_OF_A_SCRAPE | {SAMPLES[name].label}, expr
        grouped = {word.strip() for words in re.findall(r"by \(([^)]*)\)", expr) for word in words.split(",")}
        known = {SAMPLES[name].label for name in NAME.findall(re.sub(r'"[^"]*"', "", expr))}
        assert grouped <= LABELS_OF_A_SCRAPE | known, expr


def test_a_rate_is_of_a_counter_and_a_quantile_of_a_histogram():
    for expr in dashboard_expressions() + [alert["expr"] for alert in ALERTS.values()]:
        for name in re.findall(r"\b(?:rate|increase)\(((?:yizhan|process)_[a-z_]+)", expr):
            assert SAMPLES[name].type in ("counter", "histogram"), expr
        assert not re.findall(r"histogram_quantile\((?!.*_bucket)", expr), expr


def test_the_dashboard_is_the_one_that_is_described():
    assert tree.text("k8s/monitoring/dashboard.json") == dashboard.wanted(), "scripts/format writes it anew"
    rows = [panel["title"] for panel in BOARD["panels"] if panel["type"] == "row"]
    assert rows == ["Traffic", "Fan-out", "Arrival", "Ingest", "Workers", "Streams", "Trouble"]
    assert all(panel["targets"] for panel in panels())


def test_panels_do_not_overlap():
    taken = {}
    for panel in BOARD["panels"]:
        at = panel["gridPos"]
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                assert (x, y) not in taken, f"{panel['title']} lies on {taken[x, y]}"
                taken[x, y] = panel["title"]
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(set(ids)) == len(ids)


def test_the_list_of_metrics_is_the_programs_own():
    assert pathlib.Path(metrics_table.FILE).read_text() == metrics_table.wanted(), "scripts/format writes it anew"
