import json
from typing import Any

import pytest
import yaml
from machine_plans import LLAMA, QWEN, planned, serving_plan

from slipway.catalog.types import Platform
from slipway.planning.types import PlannedModel, ServingPlan
from slipway.platforms import localai
from slipway.platforms.workload import SecretEnv, VolumeKind, Workload
from slipway.settings.models import Target

pytestmark = pytest.mark.unit

GGUF = "huggingface://bartowski/Meta-Llama-3.1-8B-Instruct-GGUF/Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf"


def plan(*models: PlannedModel, target: Target = Target.INSTANCE) -> ServingPlan:
    return serving_plan(Platform.LOCALAI, *models, target=target, instance_types=("g5.xlarge",))


def server(*models: PlannedModel, target: Target = Target.INSTANCE) -> Workload:
    (workload,) = localai.workloads(plan(*models, target=target))
    return workload


def described(workload: Workload) -> list[dict[str, Any]]:
    return yaml.safe_load(workload.setup.files["/etc/localai/models.yaml"])


def test_a_file_from_a_location_is_described_in_full():
    workload = server(planned(reference=GGUF, context_length=8192, concurrency=4))
    assert described(workload) == [
        {
            "name": LLAMA,
            "backend": "llama-cpp",
            "parameters": {"model": "Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf"},
            "download_files": [{"filename": "Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf", "uri": GGUF}],
            "known_usecases": ["chat", "completion"],
            "template": {"use_tokenizer_template": True},
            "context_size": 32768,
            "f16": True,
            "mmap": True,
            "gpu_layers": 999,
            "options": ["parallel:4", "cache_ram:0", "use_jinja:true"],
            "threads": 2,
        }
    ]
    assert workload.env["LOCALAI_MODELS_CONFIG_FILE"] == "/etc/localai/models.yaml"
    assert "LOCALAI_PRELOAD_MODELS" not in workload.env


def test_a_gallery_name_is_installed_from_the_gallery_with_the_plan_s_sizes():
    workload = server(planned(reference="llama-3.1-8b-instruct:q4_k_m", context_length=4096, concurrency=2))
    assert json.loads(workload.env["LOCALAI_PRELOAD_MODELS"]) == [
        {
            "id": "localai@llama-3.1-8b-instruct:q4_k_m",
            "name": LLAMA,
            "overrides": {
                "backend": "llama-cpp",
                "context_size": 8192,
                "f16": True,
                "mmap": True,
                "gpu_layers": 999,
                "options": ["parallel:2", "cache_ram:0", "use_jinja:true"],
                "threads": 2,
            },
        }
    ]
    assert workload.setup.files == {}
    assert "LOCALAI_MODELS_CONFIG_FILE" not in workload.env


def test_both_kinds_of_model_share_a_server():
    workload = server(planned(reference=GGUF), planned(QWEN, reference="qwen2.5-0.5b-instruct"))
    assert [model["name"] for model in described(workload)] == [LLAMA]
    assert [model["name"] for model in json.loads(workload.env["LOCALAI_PRELOAD_MODELS"])] == [QWEN]
    assert workload.env["LOCALAI_LOAD_TO_MEMORY"] == f"{LLAMA},{QWEN}"
    assert workload.env["LOCALAI_MAX_ACTIVE_BACKENDS"] == "2"


def test_the_image_follows_the_accelerator():
    gpu = server(planned(reference=GGUF))
    cpu = server(planned(reference=GGUF, gpus=0))
    assert (gpu.image, gpu.gpus) == ("localai/localai:v4.9.0-gpu-nvidia-cuda-12", 1)
    assert (cpu.image, cpu.gpus) == ("localai/localai:v4.9.0", 0)
    assert described(cpu)[0]["gpu_layers"] == 0


def test_threads_are_left_to_the_server_where_the_plan_does_not_know_the_cores():
    local = server(planned(reference=GGUF, gpus=0), target=Target.LOCAL)
    assert "threads" not in described(local)[0]


def test_the_api_key_is_a_reference():
    workload = server(planned(reference=GGUF))
    assert workload.secret_env == (SecretEnv(variable="LOCALAI_API_KEY", secret="apiKey"),)
    assert "LOCALAI_API_KEY" not in workload.env


def test_every_directory_it_writes_to_is_a_volume():
    volumes = server(planned(reference=GGUF, disk_gib=10.4)).volumes
    assert {volume.mount_path: (volume.kind, volume.size_gib) for volume in volumes} == {
        "/models": (VolumeKind.MODELS, 11),
        "/backends": (VolumeKind.CACHE, 10),
        "/configuration": (VolumeKind.CACHE, 1),
        "/data": (VolumeKind.CACHE, 1),
    }


def test_start_up_gets_an_hour_or_twice_the_prediction():
    """Its port opens after downloading and loading: a short start-up probe kills it for ever."""
    quick, slow = (
        server(planned(reference=GGUF, cold_start_seconds=seconds)).probes.startup for seconds in (120.0, 5000.0)
    )
    assert (quick.period_seconds, quick.failures) == (10, 360)
    assert (slow.period_seconds, slow.failures) == (10, 1000)


def test_readiness_is_not_liveness():
    probes = server(planned(reference=GGUF)).probes
    assert (probes.startup.path, probes.readiness.path, probes.liveness.path) == ("/readyz", "/readyz", "/healthz")


@pytest.mark.parametrize(
    ("reference", "file"),
    [
        ("https://example.test/files/a.gguf", "a.gguf"),
        ("ollama://gemma:2b", f"{LLAMA}.gguf"),
        ("oci://example.test/models/llama:latest", f"{LLAMA}.gguf"),
    ],
)
def test_a_download_has_a_file_name(reference: str, file: str):
    assert described(server(planned(reference=reference)))[0]["parameters"] == {"model": file}
