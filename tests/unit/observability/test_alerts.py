"""Metrics, alerts and dashboard agree: every name exists, every alert fires in a test and leads to its entry."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from lakehouse.bronze.batch_stats import REASONS
from lakehouse.config import PROJECT
from lakehouse.contract.sale import reasons
from lakehouse.observability import metrics
from lakehouse.observability.registry import Meter, exposition
from tests.unit.test_docs import anchor, entries, generate, text_of

RULES, RULE_TESTS = PROJECT / "ops/prometheus/alerts.yml", PROJECT / "ops/prometheus/alerts_test.yml"
DASHBOARD = PROJECT / "ops/grafana/ventes.json"
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(
    PROMTOOL is None,
    reason="promtool is missing, so that no alert is fired: apt-get install -y prometheus, or your own",
)
# The exposition's own names beside the registry's.
NAMES = {one.name for one in metrics.ALL} | {
    f"{one.name}_{part}" for one in metrics.ALL if one.kind == "histogram" for part in ("bucket", "sum", "count")
}


def promtool(*words: str) -> str:
    assert PROMTOOL
    done = subprocess.run([PROMTOOL, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@cache
def alerts() -> dict[str, dict[str, str]]:
    """Alert → its expression, severity, summary and runbook."""
    found = {}
    for part in text_of(RULES).split("- alert: ")[1:]:
        name = part.split("\n", 1)[0]
        found[name] = {key: value.strip("'\"") for key, value in re.findall(r"^\s+(\w+): (.+)$", part, re.MULTILINE)}
    return found


def panels() -> list[tuple[str, str]]:
    """(panel's title, expression) of the dashboard."""
    board: dict[str, Any] = json.loads(text_of(DASHBOARD))
    return [(panel["title"], target["expr"]) for panel in board["panels"] for target in panel.get("targets", ())]


def named(expression: str) -> set[str]:
    return set(re.findall(r"\bventes_\w+", expression))


# --- the registry ----------------------------------------------------------------------------------------------------


def test_there_are_40_metrics_or_more_named_as_prometheus_asks() -> None:
    assert len(metrics.ALL) >= 40 and len(NAMES) > len({one.name for one in metrics.ALL})
    assert len({one.name for one in metrics.ALL}) == len(metrics.ALL)
    for one in metrics.ALL:
        assert re.fullmatch(r"ventes_[a-z][a-z0-9_]*[a-z]", one.name) and one.help.endswith("."), one
        assert (one.kind == "counter") == one.name.endswith("_total"), one
        assert not re.search(r"_(ms|milliseconds|minutes|hours|kb|mb|percent)\b", one.name), one
        assert len(one.labels) <= 1 or one is metrics.BUILD, one
        assert list(one.bounds) == sorted(one.bounds) and bool(one.bounds) == (one.kind == "histogram"), one
        assert one.group in metrics.GROUPS


def test_every_metric_is_set_somewhere() -> None:
    code = "".join(text_of(path) for path in (PROJECT / "lakehouse").rglob("*.py") if path.stem != "metrics")
    constants = {key for key, value in vars(metrics).items() if isinstance(value, metrics.Metric)}
    assert len(constants) == len(metrics.ALL)
    assert not {name for name in constants if not re.search(rf"\bmetrics\.{name}\b", code)}


def test_the_label_reason_is_the_contracts_closed_list() -> None:
    assert {reason.split(":")[0] for reason in reasons()} == set(REASONS)


def test_the_page_of_metrics_is_up_to_date() -> None:
    assert text_of(PROJECT / "docs" / "METRICS.md") == generate().metrics_page(), (
        "type: .venv/bin/python docs/generate.py"
    )


@needs_promtool
@pytest.mark.parametrize("process", metrics.PROCESSES)
def test_a_full_exposition_is_sound(process: str) -> None:
    made = Meter(process)
    for one in metrics.of(process):
        labels = ["x"] * len(one.labels)
        made.observe(one, 0.3, *labels) if one.kind == "histogram" else made.set(one, 7, *labels)
    assert PROMTOOL
    text = exposition(made)[0]
    done = subprocess.run([PROMTOOL, "check", "metrics"], input=text, capture_output=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")
    assert {one.name for one in metrics.of(process)} <= set(re.findall(r"^# TYPE (\S+)", text.decode(), re.MULTILINE))


# --- alerts ----------------------------------------------------------------------------------------------------------


@needs_promtool
def test_the_rules_and_the_scrape_settings_are_sound() -> None:
    assert f"{len(alerts())} rules found" in promtool("check", "rules", str(RULES))
    promtool("check", "config", str(PROJECT / "ops/prometheus/prometheus.yml"))


@needs_promtool
def test_every_alert_fires() -> None:
    promtool("test", "rules", str(RULE_TESTS))


@pytest.mark.parametrize("name", alerts())
def test_an_alert_has_a_test_that_fires_it_and_an_entry_with_its_message(name: str) -> None:
    alert = alerts()[name]
    (test,) = [part for part in text_of(RULE_TESTS).split("  - name: ")[1:] if part.startswith(f"{name}\n")]
    assert f"alertname: {name}\n" in test and "exp_labels" in test and f"runbook: {alert['runbook']}\n" in test
    page, _, place = alert["runbook"].partition("#")
    assert page == "docs/runbooks/ALERTS.md"
    (body,) = [body for title, body in entries() if anchor(title) == place]
    assert f"Alert `{name}`, {alert['severity']}\n" in body
    summary = re.sub(r"\{\{ \$labels\.(\w+) \}\}", r"<\1>", alert["summary"])
    assert f"```text\n{re.sub(r'{{.*?}}', '<value>', summary)}\n```" in body
    assert named(alert["expr"]) <= NAMES


def test_an_alert_that_does_not_exist_has_no_entry() -> None:
    assert {name for _, body in entries() for name in re.findall(r"^Alert `(\w+)`", body, re.MULTILINE)} == set(
        alerts()
    )


def test_prometheus_scrapes_each_process_on_its_default_port() -> None:
    text = text_of(PROJECT / "ops/prometheus/prometheus.yml")
    found = re.findall(r'targets: \["127\.0\.0\.1:(\d+)"\]\n\s+labels: \{process: (\w+)\}', text)
    ports = {row.key: row.default for row in generate().config.settings()}
    assert {name: port for port, name in found} == {name: ports[f"{name}_metrics_port"] for name in metrics.PROCESSES}


# --- the dashboard ---------------------------------------------------------------------------------------------------


def test_every_figure_of_the_dashboard_exists() -> None:
    assert len(panels()) >= 20
    assert not {name for _, expression in panels() for name in named(expression)} - NAMES


@needs_promtool
def test_every_expression_of_the_dashboard_is_promql(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{n}", "expr": expression} for n, (_, expression) in enumerate(panels())]
    place = tmp_path / "panels.yml"
    place.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))  # JSON is YAML
    assert f"{len(rules)} rules found" in promtool("check", "rules", str(place))


def test_compose_mounts_what_is_there_behind_a_profile() -> None:
    text = text_of(PROJECT / "docker-compose.yml")
    mounted = re.findall(r"- (\./ops/\S+?):", text)
    assert len(mounted) == 3 and all((PROJECT / place).exists() for place in mounted)
    for name in ("prometheus", "grafana"):
        (service,) = re.findall(rf"^  {name}:\n((?:    .*\n)+)", text, re.MULTILINE)
        assert 'profiles: ["monitoring"]' in service and re.search(r"image: \S+:v?\d+\.\d+\.\d+@sha256:", service)
