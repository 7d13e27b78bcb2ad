"""The gateway's files: which server answers for which model, and what reaches it at all."""

import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from machine_plans import LLAMA, QWEN, planned, serving_plan

from slipway import platforms
from slipway.catalog.types import Platform
from slipway.gateway import ENDPOINTS, Backend, Provider, backends, caddyfile, config, fronts, gateway
from slipway.settings.models import Target

pytestmark = pytest.mark.unit

GGUF = "huggingface://bartowski/Meta-Llama-3.1-8B-Instruct-GGUF/Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf"


def backend(model: str = "chat", server: str = "one", **changes) -> Backend:
    values = {"provider": Provider.VLLM, "base_url": f"http://{server}.serving.svc:8000/v1", "key_variable": "KEY"}
    return Backend(server=server, model=model, **{**values, **changes})


def test_one_entry_per_server_and_model():
    found = yaml.safe_load(config([backend(), backend(server="two"), backend(model="code", server="three")]))
    assert [
        (entry["model_name"], entry["litellm_params"]["api_base"], entry["model_info"]["id"])
        for entry in found["model_list"]
    ] == [
        ("chat", "http://one.serving.svc:8000/v1", "one/chat"),
        ("chat", "http://two.serving.svc:8000/v1", "two/chat"),
        ("code", "http://three.serving.svc:8000/v1", "three/code"),
    ]


def test_keys_are_names_of_environment_variables():
    found = yaml.safe_load(config([backend(), backend(server="two", key_variable=None)]))
    assert [entry["litellm_params"]["api_key"] for entry in found["model_list"]] == ["os.environ/KEY", "none"]
    assert found["general_settings"]["master_key"] == "os.environ/LITELLM_MASTER_KEY"


def test_a_weight_is_passed_on_only_where_there_is_one():
    found = yaml.safe_load(config([backend(weight=3), backend(server="two")]))
    assert [entry["litellm_params"].get("weight") for entry in found["model_list"]] == [3, None]


def test_a_model_is_asked_for_by_the_name_its_server_knows():
    (entry,) = yaml.safe_load(config([backend(model="Qwen/Qwen3-8B")]))["model_list"]
    assert entry["litellm_params"]["model"] == "hosted_vllm/Qwen/Qwen3-8B"


def test_bodies_are_not_logged_and_nothing_is_told_to_anyone():
    settings = yaml.safe_load(config([backend()]))["litellm_settings"]
    assert (settings["turn_off_message_logging"], settings["telemetry"]) == (True, False)
    assert settings["callbacks"] == ["prometheus"]


def test_there_is_no_database():
    general = yaml.safe_load(config([backend()]))["general_settings"]
    assert "database_url" not in general
    assert general["store_model_in_db"] is False


def test_what_took_too_long_is_not_done_again():
    router = yaml.safe_load(config([backend()]))["router_settings"]
    assert router["retry_policy"]["TimeoutErrorRetries"] == 0
    assert router["retry_policy"]["InternalServerErrorRetries"] == router["num_retries"] == 2


def test_a_gateway_in_front_of_nothing_is_a_mistake():
    with pytest.raises(ValueError, match="expected at least one"):
        config([])


@given(st.lists(st.tuples(st.text(min_size=1), st.text(min_size=1)), min_size=1, max_size=5))
def test_no_name_breaks_out_of_its_place(names):
    made = [backend(model=model, server=server, base_url="http://h/v1") for model, server in names]
    found = yaml.safe_load(config(made))
    assert set(found) == {"model_list", "router_settings", "litellm_settings", "general_settings"}
    assert [entry["model_name"] for entry in found["model_list"]] == [model for model, _ in names]
    assert all(entry["litellm_params"]["api_base"] == "http://h/v1" for entry in found["model_list"])


@pytest.mark.parametrize(
    ("platform", "reference", "expected"),
    [
        (Platform.OLLAMA, "llama3.1:8b", ("openai", "http://ollama:11434/v1", None)),
        (Platform.LOCALAI, GGUF, ("openai", "http://localai:8080/v1", "ENGINE_API_KEY")),
    ],
)
def test_one_server_for_all_models_is_a_backend_for_each(platform, reference, expected):
    plan = serving_plan(platform, planned(LLAMA, reference=reference), planned(QWEN, reference=reference))
    port = {Platform.OLLAMA: 11434, Platform.LOCALAI: 8080}[platform]
    found = backends(plan, platforms.workloads(plan), lambda workload: f"http://{workload.name}:{port}")
    assert [item.model for item in found] == [LLAMA, QWEN]
    assert {(item.provider.value, item.base_url, item.key_variable) for item in found} == {expected}


def test_gpustack_keeps_its_own_gateway():
    assert not fronts(serving_plan(Platform.GPUSTACK, target=Target.CLUSTER))
    assert fronts(serving_plan(Platform.OLLAMA, target=Target.CLUSTER))


DOOR = caddyfile(port=8080, upstream="127.0.0.1:4000", drain_seconds=300)


def test_only_inference_paths_are_passed_on_letter_by_letter():
    assert re.findall(r"import forward (\S+)", DOOR) == ["/health/readiness", *ENDPOINTS]
    assert re.findall(r"^\s+path (\S+)", DOOR, re.MULTILINE) == ["/healthz", "/readyz", *ENDPOINTS]
    assert set(ENDPOINTS) == {
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/embeddings",
        "/v1/responses",
        "/v1/models",
    }


def test_no_path_is_passed_on_before_the_key_was_compared():
    """Outside of `route` Caddy sorts directives by their paths, and the comparison has none."""
    comparison = DOOR.index("handle @keyless")
    assert DOOR.index("route {") < comparison
    assert all(DOOR.index(f"import forward {path}\n") > comparison for path in ENDPOINTS)
    assert DOOR.index("import forward /health/readiness") < comparison


def test_the_key_is_read_from_the_environment_with_each_request():
    """`{$NAME}` would paste the key into the file, where its characters have a meaning."""
    assert "{env.GATEWAY_API_KEY}" in DOOR
    assert "{$" not in DOOR


def test_a_client_that_leaves_ends_the_work_done_for_it():
    assert "flush_interval" not in DOOR


MADE = gateway([backend(), backend(server="two"), backend(model="code", server="three")], router_host="127.0.0.1")


def test_clients_reach_the_door_only():
    assert [port.number for port in MADE.door.ports if port.public] == [8080]
    assert [port.number for port in MADE.router.ports if port.public] == []


def test_the_gateway_answers_for_each_model_once():
    assert MADE.door.served_models == ("chat", "code")
    assert MADE.router.served_models == ()


def test_secrets_come_by_reference():
    named = {
        workload.name: {entry.variable: entry.secret for entry in workload.secret_env}
        for workload in (MADE.door, MADE.router)
    }
    assert named == {
        "gateway": {"GATEWAY_API_KEY": "apiKey", "ROUTER_API_KEY": "routerKey"},
        "router": {"LITELLM_MASTER_KEY": "routerKey", "ENGINE_API_KEY": "apiKey"},
    }


def test_litellm_never_sees_the_clients_key():
    """It would be its administrator's, and stand in the labels of its metrics."""
    assert 'header_up Authorization "Bearer {env.ROUTER_API_KEY}"' in DOOR


def test_a_server_without_a_key_gets_none():
    made = gateway([backend(key_variable=None)], router_host="router")
    assert [entry.variable for entry in made.router.secret_env] == ["LITELLM_MASTER_KEY"]


def test_both_run_as_a_user_without_rights_and_write_to_tmp_only():
    for workload in (MADE.door, MADE.router):
        assert workload.user == (65534, 65534)
        assert [volume.mount_path for volume in workload.volumes] == ["/tmp"]


def test_both_finish_requests_for_as_long_as_they_say():
    assert MADE.door.drain_seconds == MADE.router.drain_seconds == 300
    assert "grace_period 300s" in MADE.door.setup.files["/etc/caddy/Caddyfile"]
    assert MADE.router.env["GRACEFUL_SHUTDOWN_TIMEOUT"] == "300"


def test_documentation_and_admin_pages_are_off():
    switches = {name: MADE.router.env[name] for name in ("DISABLE_ADMIN_UI", "NO_DOCS", "NO_REDOC", "NO_OPENAPI")}
    assert switches == dict.fromkeys(switches, "True")


def test_the_door_finds_the_router_where_it_is_told():
    made = gateway([backend()], router_host="router")
    assert "reverse_proxy router:4000" in made.door.setup.files["/etc/caddy/Caddyfile"]
