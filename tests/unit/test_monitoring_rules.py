"""Alert rules: each reads only what the pinned programs emit, and says what to do."""

import re
from pathlib import Path

import pytest
from expressions import Asked, asked, kept
from watched_stacks import PROJECT, STACKS, planned, watched_in

from slipway import catalog
from slipway.catalog.types import Platform
from slipway.monitoring import Alert, Group, Record, Severity, known_series, rule_file, runbook
from slipway.monitoring.rules import duration

pytestmark = pytest.mark.unit

EVERY = pytest.mark.parametrize("stack", STACKS)
DOCUMENT = PROJECT / "docs/monitoring.md"


def rules(stack: str) -> list[Alert | Record]:
    return [rule for group in watched_in(stack).groups for rule in group.rules]


def alerts(stack: str) -> list[Alert]:
    return [rule for rule in rules(stack) if isinstance(rule, Alert)]


def known(stack: str) -> dict[str, frozenset[str]]:
    """Series with their labels, those that rules record themselves included."""
    found = dict(known_series(planned(stack).platform))
    for rule in rules(stack):
        if isinstance(rule, Record):
            found[rule.name] = kept(rule.expression, found)
    return found


@EVERY
def test_every_series_and_label_in_a_rule_is_emitted_by_a_pinned_program(stack: str):
    """Series that no program emits never fire: rules for names vLLM gave up years ago are copied to this day."""
    emitted = known(stack)
    unknown = {
        (rule.name, found.series, tuple(found.labels - emitted.get(found.series, frozenset())))
        for rule in rules(stack)
        for found in asked(rule.expression)
        if found.series not in emitted or found.labels - emitted[found.series]
    }
    assert unknown == set()
    assert any(True for rule in rules(stack) for _ in asked(rule.expression))


@EVERY
def test_an_alerts_texts_name_only_labels_that_its_expression_keeps(stack: str):
    """Others are rendered as nothing: `Requests queue for `."""
    for alert in alerts(stack):
        named = set(re.findall(r"\$labels\.(\w+)", alert.summary + alert.description))
        assert named <= kept(alert.expression, known(stack)) | set(alert.labels), alert.name


@EVERY
def test_every_alert_has_a_section_in_the_documentation(stack: str):
    headings = re.findall(r"^### (\w+)$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    for alert in alerts(stack):
        assert alert.name in headings
        assert runbook(alert.name) == f"docs/monitoring.md#{alert.name.lower()}"


def test_every_documented_alert_exists():
    headings = set(re.findall(r"^### (\w+)$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE))
    assert headings == {alert.name for stack in STACKS for alert in alerts(stack)}


def test_the_parser_finds_what_an_expression_asks_for():
    """Guards the two tests above: one that finds nothing would let everything through."""
    expression = 'sum by (le, model) (rate(a_bucket{job="x"}[5m])) / on (zone) group_left () b > 0 and on () absent(c)'
    assert list(asked(expression)) == [
        Asked("a_bucket", frozenset({"le", "model", "job"})),
        Asked("b", frozenset({"zone"})),
        Asked("c", frozenset()),
    ]
    assert kept('absent(a{job="x"})', {}) == {"job"}
    assert kept('absent(a{job="x"} == 1)', {}) == set()


def test_names_that_vllm_gave_up_are_not_known():
    """`vllm:gpu_cache_usage_perc` and its like stand in most rules that can be found."""
    emitted = known_series(Platform.VLLM)
    gone = {"vllm:gpu_cache_usage_perc", "vllm:num_requests_swapped", "vllm:time_per_output_token_seconds_bucket"}
    assert not gone & set(emitted)
    assert {name for name in emitted if name.startswith("vllm:")} == {
        name for name in catalog.release(Platform.VLLM).metrics if name.startswith("vllm:")
    }
    assert emitted["vllm:request_success_total"] >= {"model_name", "engine", "finished_reason"}
    assert "le" in emitted["vllm:time_to_first_token_seconds_bucket"]


def test_series_measured_on_a_real_vllm_are_known():
    """Names seen on vLLM 0.32 for CPU (2026-11-23) that rules use are in the catalogue for 0.33 too."""
    measured = {
        "vllm:num_requests_waiting",
        "vllm:num_requests_running",
        "vllm:kv_cache_usage_perc",
        "vllm:num_preemptions_total",
        "vllm:request_success_total",
        "vllm:time_to_first_token_seconds_bucket",
        "vllm:generation_tokens_total",
        "vllm:prefix_cache_hits_total",
        "vllm:prefix_cache_queries_total",
        "vllm:inter_token_latency_seconds_bucket",
    }
    used = {found.series for rule in rules("prod") for found in asked(rule.expression)}
    assert {name for name in used if name.startswith("vllm:")} == measured
    assert measured <= set(known_series(Platform.VLLM))


def test_a_queue_is_judged_by_the_concurrency_each_model_was_planned_for():
    thresholds = {
        re.search(r'model_name="([^"]+)"', alert.expression)[1]: float(alert.expression.rpartition(">")[2])
        for alert in alerts("examples/vllm-two-models.yaml")
        if alert.name == "RequestsWaiting"
    }
    assert thresholds == {model.name: model.concurrency for model in planned("examples/vllm-two-models.yaml").models}


def test_a_server_that_loads_its_weights_is_not_reported():
    (starting,) = [alert for alert in alerts("prod") if alert.name == "EngineNotStarting"]
    (server,) = watched_in("prod").servers
    assert starting.for_seconds == server.starting_seconds
    assert server.starting_seconds > 2 * planned("prod").models[0].cold_start.total_seconds


@pytest.mark.parametrize(
    ("stack", "groups"),
    [
        ("prod", ["slipway-servers", "slipway-load", "slipway-gateway", "slipway-gpus", "slipway-cluster"]),
        ("examples/localai-cluster.yaml", ["slipway-servers", "slipway-gateway", "slipway-gpus", "slipway-cluster"]),
        ("examples/ollama-cluster.yaml", ["slipway-gateway", "slipway-gpus", "slipway-cluster"]),
    ],
)
def test_what_a_stack_does_not_have_raises_no_alarm(stack: str, groups: list[str]):
    assert [group.name for group in watched_in(stack).groups] == groups


def test_a_server_without_metrics_is_judged_by_its_deployment():
    (alert,) = [alert for alert in alerts("examples/ollama-cluster.yaml") if alert.name == "ServerUnavailable"]
    assert 'deployment=~"ollama"' in alert.expression
    assert "ServerUnavailable" not in {alert.name for alert in alerts("prod")}


def test_lost_spot_nodes_matter_only_where_there_are_some():
    assert "SpotCapacityLost" in {alert.name for alert in alerts("prod")}
    assert "SpotCapacityLost" not in {alert.name for alert in alerts("fleet")}


def test_rules_take_prometheus_form():
    alert = Alert(
        name="Late",
        severity=Severity.CRITICAL,
        expression="up == 0",
        for_seconds=300,
        summary="late",
        description="It is late.",
        labels={"slipway_server": "chat"},
    )
    record = Record(name="slipway:up:sum", expression="sum(up)")
    assert rule_file([Group(name="group", rules=(alert, record))]) == {
        "groups": [
            {
                "name": "group",
                "rules": [
                    {
                        "alert": "Late",
                        "expr": "up == 0",
                        "for": "5m",
                        "labels": {"severity": "critical", "slipway_server": "chat"},
                        "annotations": {
                            "summary": "late",
                            "description": "It is late.",
                            "runbook_url": "docs/monitoring.md#late",
                        },
                    },
                    {"record": "slipway:up:sum", "expr": "sum(up)"},
                ],
            }
        ]
    }


@pytest.mark.parametrize(
    ("seconds", "written"), [(0, "0s"), (45, "45s"), (60, "1m"), (90, "90s"), (3600, "1h"), (5400, "90m")]
)
def test_durations_take_the_largest_whole_unit(seconds: int, written: str):
    assert duration(seconds) == written


def test_the_exporters_table_is_packaged():
    assert (Path(PROJECT) / "slipway/monitoring/exporters.csv").is_file()
    assert {"up", "DCGM_FI_DEV_XID_ERRORS", "litellm_deployment_state"} <= set(known_series(Platform.OLLAMA))
