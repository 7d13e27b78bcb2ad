"""Caddy's configuration: what reaches LiteLLM, and who.

LiteLLM's own allowlist (`allowed_routes`) asks for an enterprise licence, and about twenty of its paths answer without
any key. So Caddy stands in front: it knows the few paths below, compares the key, and answers everything else itself.
"""

from collections.abc import Mapping
from types import MappingProxyType

KEY_VARIABLE = "GATEWAY_API_KEY"
ROUTER_KEY_VARIABLE = "ROUTER_API_KEY"
ALIVE_PATH = "/healthz"
READY_PATH = "/readyz"
# LiteLLM's own; the one that a load balancer may ask for without a key.
ROUTER_READY_PATH = "/health/readiness"

ENDPOINTS: Mapping[str, str] = MappingProxyType(
    {
        "/v1/chat/completions": "POST",
        "/v1/completions": "POST",
        "/v1/embeddings": "POST",
        "/v1/responses": "POST",
        "/v1/models": "GET",
    }
)
"""The paths a client reaches, with the one method each takes."""

# Pictures travel inside requests.
LARGEST_BODY = "32MiB"
_UNKNOWN = "Unknown path or method: see the gateway's documentation"
_NO_KEY = "Incorrect API key: send it as Authorization: Bearer KEY"


def caddyfile(*, port: int, upstream: str, drain_seconds: int) -> str:
    """Caddy's configuration for a door on `port` in front of LiteLLM at `upstream` (host:port).

    The key is read from the environment with each request and compared as a whole, so that no character in it has a
    meaning. LiteLLM gets a key of its own instead: the client's would be its administrator's, and would stand in the
    labels of its metrics, in clear unless it begins with ``sk-``. What is passed on is one of the paths above, letter
    by letter, without the query. Headers that LiteLLM takes orders from, or tells its inside with, pass in neither
    direction. Caddy passes a stream on as it comes, which it knows by its content type; told so by
    `flush_interval -1`, it would not cancel the work of a client that left.
    """
    routes = "\n".join(_route(path, method) for path, method in ENDPOINTS.items())
    return f"""\
{{
	admin off
	auto_https off
	persist_config off
	grace_period {drain_seconds}s
	servers {{
		timeouts {{
			read_header 10s
			idle 10m
		}}
	}}
}}

(forward) {{
	rewrite * {{args[0]}}?
	reverse_proxy {upstream} {{
		header_up Authorization "Bearer {{env.{ROUTER_KEY_VARIABLE}}}"
		header_up -X-Litellm-*
		header_up -Litellm-*
		header_down -X-Litellm-*
		header_down -Llm_provider-*
		header_down -Server
		transport http {{
			dial_timeout 5s
		}}
	}}
}}

:{port} {{
	header -Server
	handle_errors {{
		respond "{{err.status_code}} {{err.status_text}}"
	}}

	# In this order, which Caddy would change outside of `route`: nothing without a key gets past the third.
	route {{
		@alive {_matcher(ALIVE_PATH, "GET")}
		respond @alive "ok"

		@ready {_matcher(READY_PATH, "GET")}
		handle @ready {{
			import forward {ROUTER_READY_PATH}
		}}

		@keyless expression `{{http.request.header.Authorization}} != "Bearer " + {{env.{KEY_VARIABLE}}}`
		handle @keyless {{
			header WWW-Authenticate Bearer
			header Content-Type application/json
			respond `{_error(_NO_KEY, "authentication_error", "invalid_api_key")}` 401
		}}

		request_body {{
			max_size {LARGEST_BODY}
		}}
{routes}
		header Content-Type application/json
		respond `{_error(_UNKNOWN, "invalid_request_error", "unknown_url")}` 404
	}}
}}
"""


def _route(path: str, method: str) -> str:
    name = path.removeprefix("/v1/").replace("/", "-")
    return f"""\
		@{name} {_matcher(path, method)}
		handle @{name} {{
			import forward {path}
		}}"""


def _matcher(path: str, method: str) -> str:
    return f"""{{
			method {method}
			path {path}
		}}"""


def _error(message: str, kind: str, code: str) -> str:
    """The body of OpenAI's errors, which every client library can read."""
    return f'{{"error":{{"message":"{message}","type":"{kind}","param":null,"code":"{code}"}}}}'.replace("`", "'")
