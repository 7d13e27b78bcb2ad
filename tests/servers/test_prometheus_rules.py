"""The alert rules, judged by promtool: each fires when it should and keeps silent when it should."""

import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml
from alert_cases import CASES, Case
from debian_programs import DebianPrometheus

sys.path.append(str(Path(__file__).parents[1] / "unit"))

from watched_stacks import STACKS, watched_in

from slipway.monitoring import rule_file

pytestmark = pytest.mark.servers


@cache
def rules(stack: str) -> str:
    return yaml.safe_dump(rule_file(watched_in(stack).groups), sort_keys=False, width=10_000)


def promtool(real: DebianPrometheus, folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [real.promtool, *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("stack", STACKS)
def test_promtool_accepts_every_rule(real_prometheus: DebianPrometheus, tmp_path: Path, stack: str):
    (tmp_path / "rules.yml").write_text(rules(stack))
    count = sum(len(group.rules) for group in watched_in(stack).groups)
    assert f"SUCCESS: {count} rules found" in promtool(real_prometheus, tmp_path, "check", "rules", "rules.yml")


def test_every_alert_has_a_case():
    named = {alert.name for stack in STACKS for group in watched_in(stack).groups for alert in group.alerts}
    assert set(CASES) == named


def looked_at(name: str, case: Case, series: dict[str, str], fires: bool) -> dict[str, object]:
    """One of promtool's tests: how many of an alert fire at the case's minute."""
    firing = f'count(ALERTS{{alertname="{name}",alertstate="firing"}})'
    samples = [{"labels": "{}", "value": 1}] if fires else []
    return {
        "name": f"{name} {'fires' if fires else 'is silent'}",
        "interval": "1m",
        "input_series": [{"series": key, "values": values} for key, values in series.items()],
        "promql_expr_test": [{"expr": firing, "eval_time": f"{case.minute}m", "exp_samples": samples}],
    }


@pytest.mark.parametrize("name", CASES)
def test_an_alert_fires_when_it_should_and_only_then(real_prometheus: DebianPrometheus, tmp_path: Path, name: str):
    case = CASES[name]
    (tmp_path / "rules.yml").write_text(rules(case.stack))
    tests = [
        {key: value for key, value in looked_at(name, case, dict(series), fires).items() if key != "name"}
        for series, fires in ((case.fires, True), (case.silent, False))
    ]
    content = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": tests}
    (tmp_path / "tests.yml").write_text(yaml.safe_dump(content))
    assert "SUCCESS" in promtool(real_prometheus, tmp_path, "test", "rules", "tests.yml")


def test_the_texts_of_an_alert_are_rendered(real_prometheus: DebianPrometheus, tmp_path: Path):
    """Guards the form of the templates: a wrong one shows as an error in the text only."""
    (tmp_path / "rules.yml").write_text(rules("prod"))
    case = CASES["GpuFault"]
    alert = {
        "exp_labels": {
            "severity": "critical",
            "gpu": "0",
            "UUID": "GPU-1",
            "Hostname": "node-1",
            "modelName": "NVIDIA L4",
        },
        "exp_annotations": {
            "summary": "GPU 0 of node-1 has a fault",
            "description": "The driver reported XID 79 (NVIDIA L4, GPU-1).",
            "runbook_url": "docs/monitoring.md#gpufault",
        },
    }
    test = {
        "interval": "1m",
        "input_series": [{"series": key, "values": values} for key, values in case.fires.items()],
        "alert_rule_test": [{"eval_time": "8m", "alertname": "GpuFault", "exp_alerts": [alert]}],
    }
    content = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": [test]}
    (tmp_path / "tests.yml").write_text(yaml.safe_dump(content))
    assert "SUCCESS" in promtool(real_prometheus, tmp_path, "test", "rules", "tests.yml")
