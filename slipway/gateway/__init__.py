"""The one door of a stack: an OpenAI-compatible gateway with a key, in front of every model. Pure."""

from slipway.gateway.backends import Backend, Provider, backends, fronts
from slipway.gateway.door import ENDPOINTS, caddyfile
from slipway.gateway.routing import config
from slipway.gateway.servers import ROUTER_KEY, ROUTER_KEY_PREFIX, Gateway, gateway

__all__ = [
    "ENDPOINTS",
    "ROUTER_KEY",
    "ROUTER_KEY_PREFIX",
    "Backend",
    "Gateway",
    "Provider",
    "backends",
    "caddyfile",
    "config",
    "fronts",
    "gateway",
]
