"""The gateway for real: the pinned Caddy and LiteLLM with the files that are deployed, in front of small servers."""

import re
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))

from gateway_processes import STOP_SECONDS, RunningGateway, free_port, running_door, running_gateway
from openai_servers import PATIENCE_SECONDS, Answer, OpenAiServer, ask, open_stream, serving

from slipway.gateway import ENDPOINTS, Backend, Provider

pytestmark = [pytest.mark.servers, pytest.mark.xdist_group("gateway")]

KEY = "clientKEY0123456789abcdefghijklmnopqrstuvwxyzABC"
ENGINE_KEY = "engineKEY0123456789abcdefghijklmnopqrstuvwxyzABC"
ROUTER_KEY = "sk-routerKEY0123456789abcdefghijklmnopqrstuvwxyz"
SECRETS = {
    "GATEWAY_API_KEY": KEY,
    "ROUTER_API_KEY": ROUTER_KEY,
    "LITELLM_MASTER_KEY": ROUTER_KEY,
    "ENGINE_API_KEY": ENGINE_KEY,
}
PROMPT = "PROMPT-that-nobody-writes-down"
CHAT = "/v1/chat/completions"


@dataclass(frozen=True, kw_only=True)
class Stack:
    gateway: RunningGateway
    one: OpenAiServer
    two: OpenAiServer

    def chat(self, model: str = "chat", key: str | None = KEY, **body: object) -> Answer:
        return ask(self.gateway.port, "POST", CHAT, key, request(model, **body))


def request(model: str = "chat", **body: object) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": PROMPT}], **body}


def backend(model: str, server: str, base_url: str, **changes: object) -> Backend:
    values = {"provider": Provider.VLLM, "key_variable": "ENGINE_API_KEY", **changes}
    return Backend(server=server, model=model, base_url=base_url, **values)


def behind(one: OpenAiServer, two: OpenAiServer) -> list[Backend]:
    """`chat` on one server; `pair` on one that died and one that lives; `weighted` on two, of which one gets all."""
    dead = f"http://127.0.0.1:{free_port()}/v1"
    return [
        backend("chat", "one", one.base_url),
        backend("org/Model-7B", "two", two.base_url, provider=Provider.OPENAI, key_variable=None),
        backend("pair", "dead", dead),
        backend("pair", "two", two.base_url),
        backend("weighted", "one", one.base_url, weight=1),
        backend("weighted", "two", two.base_url, weight=0),
        backend("gone", "dead", dead),
    ]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with ExitStack() as stack:
        one, two = (stack.enter_context(serving(name)) for name in ("one", "two"))
        folder = tmp_path_factory.mktemp("gateway")
        yield Stack(gateway=stack.enter_context(running_gateway(behind(one, two), SECRETS, folder)), one=one, two=two)


@pytest.fixture
def stack(running: Stack) -> Stack:
    for server in (running.one, running.two):
        server.forget()
    return running


def test_a_chat_completion_reaches_its_server_with_the_servers_own_key(stack):
    answer = stack.chat()
    assert (answer.status, answer.json["choices"][0]["message"]["content"]) == (200, "one")
    ((path, authorization, body),) = stack.one.asked
    assert (path, authorization, body["model"]) == (CHAT, f"Bearer {ENGINE_KEY}", "chat")
    assert stack.two.asked == []


def test_a_name_with_a_slash_reaches_a_server_that_asks_for_no_key(stack):
    assert stack.chat("org/Model-7B").json["choices"][0]["message"]["content"] == "two"
    ((_, authorization, body),) = stack.two.asked
    assert (authorization, body["model"]) == ("Bearer none", "org/Model-7B")


def test_every_endpoint_of_the_allowlist_answers(stack):
    bodies = {
        CHAT: request(),
        "/v1/completions": {"model": "chat", "prompt": "hi"},
        "/v1/embeddings": {"model": "chat", "input": "hi"},
        "/v1/responses": {"model": "chat", "input": "hi"},
        "/v1/models": None,
    }
    answers = {path: ask(stack.gateway.port, ENDPOINTS[path], path, KEY, body) for path, body in bodies.items()}
    assert {path: answer.status for path, answer in answers.items()} == dict.fromkeys(ENDPOINTS, 200)
    listed = [model["id"] for model in answers["/v1/models"].json["data"]]
    assert sorted(listed) == ["chat", "gone", "org/Model-7B", "pair", "weighted"]


@pytest.mark.parametrize(
    "key", [None, "", "wrong", "sk-wrong", ROUTER_KEY, KEY[:-1], f"{KEY}x", KEY.lower(), f"{KEY},{KEY}"]
)
def test_without_the_key_nothing_reaches_a_server(stack, key):
    for path, method in ENDPOINTS.items():
        answer = ask(stack.gateway.port, method, path, key, request() if method == "POST" else None)
        assert (answer.status, answer.json["error"]["code"]) == (401, "invalid_api_key")
    assert (stack.one.asked, stack.two.asked) == ([], [])


def test_the_key_counts_only_where_it_belongs(stack):
    for headers in ({"x_api_key": KEY}, {"api_key": KEY}, {"x_litellm_api_key": KEY}, {"Authorization": KEY}):
        assert ask(stack.gateway.port, "POST", CHAT, None, request(), **headers).status == 401


CLOSED = {
    "of vLLM": ("/invocations", "/pause", "/resume", "/tokenize", "/v1/tokenize", "/load", "/version", "/ping"),
    "of Ollama": ("/api/tags", "/api/pull", "/api/delete", "/api/generate"),
    "metrics": ("/metrics", "/metrics/", "/v1/metrics"),
    "health that says more than yes": ("/health", "/health/liveliness", "/health/readiness", "/health/services"),
    "keys, users, spending": ("/key/generate", "/key/info", "/user/new", "/team/new", "/spend/logs", "/global/spend"),
    "settings": ("/config/yaml", "/config/update", "/model/new", "/model/info", "/v1/model/info", "/active/callbacks"),
    "open in LiteLLM to everybody": ("/", "/routes", "/test", "/public/providers", "/get/ui_theme_settings", "/ui/"),
    "sign-in and documentation": ("/sso/key/generate", "/login", "/docs", "/redoc", "/openapi.json", "/fallback/login"),
    "passed through": ("/openai/v1/models", "/vllm/v1/models", "/anthropic/v1/messages", "/v1/messages", "/mcp"),
    "other OpenAI endpoints": ("/v1/files", "/v1/batches", "/v1/images/generations", "/v1/realtime", "/v1/models/chat"),
    "without the version": ("/chat/completions", "/completions", "/embeddings", "/models"),
    "spelled to slip by": (
        "/v1/models/../../config/yaml",
        "/v1/chat/completions/../../../key/generate",
        "/v1/models/..%2f..%2fconfig%2fyaml",
        "/v1/models/",
        "/v1/models;/config/yaml",
    ),
}


@pytest.mark.parametrize("kind", CLOSED)
def test_no_other_path_answers_a_client_that_holds_the_key(stack, kind):
    answers = {
        (method, path): ask(stack.gateway.port, method, path, KEY, {} if method == "POST" else None)
        for path in CLOSED[kind]
        for method in ("GET", "POST")
    }
    assert {asked: (answer.status, answer.json["error"]["code"]) for asked, answer in answers.items()} == dict.fromkeys(
        answers, (404, "unknown_url")
    )
    assert (stack.one.asked, stack.two.asked) == ([], [])


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_a_path_takes_its_own_method_only(stack, method):
    assert ask(stack.gateway.port, method, CHAT, KEY).status == 404


def test_other_spellings_of_a_path_are_the_path(stack):
    for path in ("/v1/%6dodels", "/v1//models", "/v1/models?model_id=x"):
        assert ask(stack.gateway.port, "GET", path, KEY).status == 200
        assert ask(stack.gateway.port, "GET", path).status == 401


def test_a_load_balancer_learns_alive_and_ready_and_no_more(stack):
    assert ask(stack.gateway.port, "GET", "/healthz").text == "ok"
    ready = ask(stack.gateway.port, "GET", "/readyz")
    assert (ready.status, ready.json["status"]) == (200, "healthy")
    assert ask(stack.gateway.port, "POST", "/readyz").status == 401


def test_a_client_cannot_send_the_gateway_to_a_server_of_its_own(stack):
    """Otherwise the engines' key, and whatever the gateway can reach, would be the client's."""
    for field in ("api_base", "base_url"):
        answer = stack.chat(**{field: stack.two.base_url})
        assert 400 <= answer.status < 500
    assert (stack.one.asked, stack.two.asked) == ([], [])


def test_answers_tell_nothing_of_what_is_inside(stack):
    headers = stack.chat().headers
    assert not [name for name in headers if "litellm" in name or name.startswith("llm")]
    assert str(stack.one.port) not in repr(headers)


def test_a_dead_server_is_routed_around(stack):
    answers = [stack.chat("pair") for _ in range(10)]
    assert [answer.status for answer in answers] == [200] * 10
    assert {answer.json["choices"][0]["message"]["content"] for answer in answers} == {"two"}


def test_a_model_whose_only_server_is_dead_fails_as_an_error_of_the_server(stack):
    assert stack.chat("gone").status >= 500


def test_an_unknown_model_is_the_clients_mistake(stack):
    assert stack.chat("no-such-model").status in (400, 404)


def test_a_weight_of_nothing_takes_no_request(stack):
    answers = {stack.chat("weighted").json["choices"][0]["message"]["content"] for _ in range(10)}
    assert answers == {"one"}


def test_a_stream_is_passed_on_piece_by_piece(stack):
    """The server sends its second piece only after the client has read the first."""
    stack.one.go_on.clear()
    with open_stream(stack.gateway.port, "POST", CHAT, KEY, request(stream=True)) as response:
        assert response.status == 200
        first = response.readline().decode()
        assert '"first"' in first
        stack.one.go_on.set()
        rest = response.read().decode()
    assert '"last"' in rest
    assert rest.rstrip().endswith("data: [DONE]")


def test_a_client_that_leaves_ends_the_work_done_for_it(stack):
    """Otherwise answers nobody reads keep the GPU busy."""
    stack.one.go_on.clear()
    with open_stream(stack.gateway.port, "POST", CHAT, KEY, request(stream=True)) as response:
        response.readline()
    assert stack.one.cut_off.wait(STOP_SECONDS)


def metrics(stack: Stack) -> str:
    """What Prometheus reads, once the last request is counted: LiteLLM counts when it has answered."""
    wanted = {"litellm_proxy_total_requests_metric_total", "litellm_deployment_success_responses_total"}
    for _ in range(PATIENCE_SECONDS):
        answer = ask(stack.gateway.metrics_port, "GET", "/metrics/")
        if answer.status == 200 and wanted <= set(re.findall(r"^(litellm_\w+)\{", answer.text, re.MULTILINE)):
            return answer.text
        time.sleep(1)
    raise AssertionError(f"{wanted} are not in {answer.text}")


def test_metrics_have_a_port_of_their_own_and_tell_no_key(stack):
    """LiteLLM writes a key into the label `hashed_api_key` as it is, unless it begins with `sk-`."""
    stack.chat()
    text = metrics(stack)
    assert 'requested_model="chat"' in text
    assert not [key for key in (KEY, ENGINE_KEY, ROUTER_KEY) if key in text]


def test_litellm_itself_takes_the_doors_key_only(stack):
    """Whoever gets past the door and the network policy is nobody to it."""
    assert ask(stack.gateway.router_port, "GET", "/v1/models", "sk-another").status in (400, 401)
    assert ask(stack.gateway.router_port, "GET", "/v1/models", ROUTER_KEY).status == 200


def test_neither_prompts_nor_keys_are_written_down(stack):
    stack.chat()
    stack.chat("gone")
    stack.chat(key="wrong")
    metrics(stack)
    written = [path for path in stack.gateway.logs.rglob("*") if path.is_file()]
    assert {path.name for path in written} >= {"door.log", "router.log", "config.yaml"}
    for marker in (PROMPT, KEY, ENGINE_KEY, ROUTER_KEY):
        assert [path.name for path in written if marker.encode() in path.read_bytes()] == []


@pytest.mark.parametrize("key", ["a*", "*", "{env.HOME}", 'say "hi"', "back`tick", "$HOME", "{http.request.uri}"])
def test_no_character_of_a_key_has_a_meaning(tmp_path, key):
    with serving("behind") as server:
        port = free_port()
        with running_door(
            port, f"127.0.0.1:{server.port}", {"GATEWAY_API_KEY": key, "ROUTER_API_KEY": ROUTER_KEY}, tmp_path
        ):
            wait_for(port)
            assert ask(port, "GET", "/v1/models", key).status == 200
            for other in ("", "a", "ab", "*", "/v1/models", str(tmp_path)):
                if other != key:
                    assert ask(port, "GET", "/v1/models", other).status == 401
        assert len(server.asked) == 1


def wait_for(port: int) -> None:
    for _ in range(100):
        try:
            if ask(port, "GET", "/healthz").status == 200:
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("Caddy did not start")


def test_a_stream_outlives_the_order_to_stop(tmp_path):
    """A rollout ends no answer: both programs finish what they have begun, then end by themselves."""
    with ExitStack() as closing:
        one, two = (closing.enter_context(serving(name)) for name in ("one", "two"))
        gateway = closing.enter_context(running_gateway(behind(one, two), SECRETS, tmp_path))
        one.go_on.clear()
        with open_stream(gateway.port, "POST", CHAT, KEY, request(stream=True)) as response:
            assert '"first"' in response.readline().decode()
            gateway.door.send_signal(signal.SIGTERM)
            gateway.router.send_signal(signal.SIGTERM)
            time.sleep(2)  # both have heard it
            one.go_on.set()
            assert response.read().decode().rstrip().endswith("data: [DONE]")
        assert gateway.door.wait(STOP_SECONDS) == 0
        gateway.router.wait(STOP_SECONDS)
