"""Engine releases, their flags and metrics, other pins, and EKS versions."""

import re
from datetime import date

import pytest

from slipway import catalog
from slipway.catalog.types import Platform

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("platform", "version", "accelerator", "image"),
    [
        (Platform.VLLM, "0.33.0", "cuda", "vllm/vllm-openai:v0.33.0"),
        (Platform.VLLM, "0.33.0", "cpu", "vllm/vllm-openai-cpu:v0.33.0"),
        (Platform.OLLAMA, "0.32.15", "cuda", "ollama/ollama:0.32.15"),
        (Platform.LOCALAI, "4.9.0", "cuda", "localai/localai:v4.9.0-gpu-nvidia-cuda-12"),
        (Platform.LOCALAI, "4.9.0", "cpu", "localai/localai:v4.9.0"),
        (Platform.GPUSTACK, "2.3.0", "cuda", "gpustack/gpustack:v2.3.0"),
    ],
)
def test_default_release(platform: Platform, version: str, accelerator: str, image: str):
    release = catalog.release(platform)
    assert release.version == version
    assert release.images[accelerator] == image


def test_an_older_release_can_be_named_and_an_unknown_one_cannot():
    assert catalog.release(Platform.VLLM, "0.32.0").images["cuda"] == "vllm/vllm-openai:v0.32.0"
    with pytest.raises(KeyError):
        catalog.release(Platform.VLLM, "0.5.0")


def test_every_image_is_pinned_to_a_version():
    images = [image for pin in catalog.pins().values() if (image := pin.image)]
    for platform in Platform:
        for release in catalog.releases(platform).values():
            images += release.images.values()
    assert len(images) >= 12
    assert [image for image in images if not re.search(r":v?\d+\.\d+", image)] == []


@pytest.mark.parametrize(
    "flag",
    [
        "--max-model-len",
        "--gpu-memory-utilization",
        "--tensor-parallel-size",
        "--kv-cache-dtype",
        "--max-num-seqs",
        "--shutdown-timeout",
        "--served-model-name",
        "--no-enable-prefix-caching",
        "--enable-auto-tool-choice",
        "-tp",
    ],
)
@pytest.mark.parametrize("version", ["0.32.0", "0.33.0"])
def test_vllm_accepts(flag: str, version: str):
    assert flag in catalog.release(Platform.VLLM, version).flags


@pytest.mark.parametrize(
    "flag", ["--swap-space", "--num-scheduler-steps", "--task", "--guided-decoding-backend", "--use-v2-block-manager"]
)
def test_vllm_no_longer_accepts(flag: str):
    assert flag not in catalog.release(Platform.VLLM).flags


def test_every_switch_of_the_older_release_still_works_in_the_newer_one():
    old, new = (catalog.release(Platform.VLLM, version).flags for version in ("0.32.0", "0.33.0"))
    assert old - new == set()


def test_only_the_newer_release_turns_switches_off_with_disable():
    """0.33 pairs --enable-x with --disable-x and keeps --no-enable-x; 0.32 knows the latter only."""
    old, new = (catalog.release(Platform.VLLM, version).flags for version in ("0.32.0", "0.33.0"))
    assert "--disable-prefix-caching" in new - old
    assert "--disable-log-requests" in new - old
    added = {flag for flag in new - old if not flag.startswith(("--enable-", "--disable-"))}
    assert added == {
        "--monokernel", "--no-monokernel", "--reasoning-effort-map", "--sleep-mode-backend", "--watchdog-config",
    }  # fmt: skip


@pytest.mark.parametrize("platform", [Platform.OLLAMA, Platform.LOCALAI, Platform.GPUSTACK])
def test_platforms_configured_by_environment_have_no_flags(platform: Platform):
    assert catalog.release(platform).flags == frozenset()


@pytest.mark.parametrize(
    "metric",
    [
        "vllm:num_requests_running",
        "vllm:num_requests_waiting",
        "vllm:kv_cache_usage_perc",
        "vllm:num_preemptions_total",
        "vllm:generation_tokens_total",
        "vllm:time_to_first_token_seconds_bucket",
        "vllm:e2e_request_latency_seconds_sum",
        "vllm:request_success_total",
        "vllm:cache_config_info",
    ],
)
def test_vllm_exposes(metric: str):
    assert metric in catalog.release(Platform.VLLM).metrics


@pytest.mark.parametrize(
    "metric", ["vllm:gpu_cache_usage_perc", "vllm:time_per_output_token_seconds_bucket", "vllm:num_requests_swapped"]
)
def test_vllm_no_longer_exposes(metric: str):
    assert metric not in catalog.release(Platform.VLLM).metrics


@pytest.mark.parametrize(
    ("platform", "metric"),
    [
        (Platform.GPUSTACK, "gpustack:model_running_instances"),
        (Platform.GPUSTACK, "gpustack:worker_node_gram_used_bytes"),
        (Platform.GPUSTACK, "gpustack:prompt_tokens_total"),
        (Platform.GPUSTACK, "gpustack:cluster_info"),
        (Platform.LOCALAI, "api_call_bucket"),
        (Platform.LOCALAI, "localai_tokens_total"),
    ],
)
def test_other_platforms_expose(platform: Platform, metric: str):
    assert metric in catalog.release(platform).metrics


def test_ollama_has_no_metrics_at_all():
    assert catalog.release(Platform.OLLAMA).metrics == frozenset()


def test_vllm_needs_turing_and_a_cuda_13_driver():
    release = catalog.release(Platform.VLLM)
    assert (release.minimum_compute_capability, release.minimum_driver) == ((7, 5), 580)
    assert not catalog.gpus()["V100-16"].supports(release.minimum_compute_capability)


def test_gpustack_comes_as_a_chart():
    chart = catalog.release(Platform.GPUSTACK).chart
    assert chart is not None
    assert (chart.reference, chart.version) == ("oci://registry-1.docker.io/gpustack/gpustack-chart", "2.3.0")


def test_charts_around_the_engines_are_pinned():
    charts = {name: pin.chart.version for name, pin in catalog.pins().items() if pin.chart}
    assert charts == {
        "kube-prometheus-stack": "88.5.3",
        "nvidia-device-plugin": "0.20.0",
        "dcgm-exporter": "4.8.2",
        "keda": "2.20.2",
        "cluster-autoscaler": "9.59.0",
        "karpenter": "1.14.1",
        "karpenter-crd": "1.14.1",
    }


def test_kubernetes_versions_come_newest_first_and_end_in_order():
    versions = list(catalog.kubernetes_versions().values())
    assert [version.version for version in versions] == ["1.36", "1.35", "1.34", "1.33", "1.32", "1.31"]
    for version in versions:
        assert version.released < version.standard_support_ends < version.extended_support_ends


def test_extended_support_begins_the_day_after_standard_support_ends():
    version = catalog.kubernetes_versions()["1.34"]
    assert version.in_standard_support(date(2026, 12, 2))
    assert not version.in_standard_support(date(2026, 12, 3))


def test_a_date_known_to_the_month_is_its_first_day():
    assert catalog.kubernetes_versions()["1.36"].standard_support_ends == date(2027, 8, 1)
    assert catalog.kubernetes_versions()["1.35"].standard_support_ends == date(2027, 3, 27)


def test_support_dates_that_aws_has_not_stated_are_marked():
    assert [v.version for v in catalog.kubernetes_versions().values() if v.estimated] == ["1.36"]
