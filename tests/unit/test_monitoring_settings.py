"""`slipway:monitoring`: what can be said, and what is a misunderstanding."""

from pathlib import Path

import pytest
from settings_stacks import GOOD, accepted, refused

from slipway.settings.models import PrometheusPlace

pytestmark = pytest.mark.unit

CLUSTER = f"{GOOD}slipway:target: cluster\n"
CONFIG = {
    "aws:region": "us-east-1",
    "slipway:target": "cluster",
    "slipway:platform": "vllm",
    "slipway:instanceTypes": "g6.xlarge",
    "slipway:model": "llama-3.1-8b-instruct",
}


def test_a_cluster_is_watched_unless_it_is_told_otherwise():
    found = accepted(CONFIG).monitoring
    assert (found.prometheus, found.retention_days, found.storage_gib, found.alertmanager, found.namespace) == (
        PrometheusPlace.INSTALL,
        15,
        50,
        True,
        "monitoring",
    )


def test_an_existing_prometheus_is_named_by_namespace_and_labels():
    wanted = {"prometheus": "existing", "namespace": "observability", "podMonitorLabels": {"release": "prometheus"}}
    found = accepted({**CONFIG, "slipway:monitoring": wanted}).monitoring
    assert (found.namespace, found.pod_monitor_labels) == ("observability", {"release": "prometheus"})


@pytest.mark.parametrize(
    ("section", "key", "said"),
    [
        ("{prometheus: existing, storageGib: 20}", "storageGib", "has no meaning with prometheus: existing"),
        ("{prometheus: none, alertmanager: false}", "alertmanager", "has no meaning with prometheus: none"),
        ("{podMonitorLabels: {a: b}}", "podMonitorLabels", "has no meaning with prometheus: install"),
        ("{retentionDays: 0}", "retentionDays", "must be at least 1"),
        ("{namespace: Monitoring}", "namespace", "must be the name of a namespace, such as monitoring"),
        ("{prometheus: existing, podMonitorLabels: {'a b': c}}", "podMonitorLabels.a b", "is not the name of a"),
        ("{prometheus: existing, podMonitorLabels: {a: 'c d'}}", "podMonitorLabels.a", "is not the value of a"),
    ],
)
def test_what_would_be_ignored_or_refused_later_is_a_mistake_now(tmp_path: Path, section: str, key: str, said: str):
    (problem,) = refused(tmp_path, f"{CLUSTER}slipway:monitoring: {section}\n")
    assert problem.key == f"slipway:monitoring.{key}"
    assert said in problem.message


def test_only_a_cluster_has_the_section(tmp_path: Path):
    (problem,) = refused(tmp_path, f"{GOOD}slipway:monitoring: {{storageGib: 20}}\n")
    assert (problem.key, problem.message) == ("slipway:monitoring", "has no meaning for the target instance")
