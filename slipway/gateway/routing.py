"""LiteLLM's configuration: which server answers for which model, how long it may take, what is tried again.

Every option was looked up in, and is tested against, the release pinned in the catalogue.
"""

from collections.abc import Sequence
from typing import Any

import yaml

from slipway.gateway.backends import Backend

MASTER_KEY_VARIABLE = "LITELLM_MASTER_KEY"

# The longest silence between two pieces of an answer: a whole answer where it is not streamed. Long contexts on a full
# engine take minutes; a shorter limit would give the work up and do it again elsewhere.
TIMEOUT_SECONDS = 1800
RETRIES = 2
# A server that fails is left alone this long while another one answers for its model: about a failed readiness probe.
COOLDOWN_SECONDS = 30


def config(backends: Sequence[Backend]) -> str:
    """LiteLLM's ``config.yaml``. It holds no secret: keys are names of environment variables.

    Raises ValueError without backends: LiteLLM would start and know no model.
    """
    if not backends:
        raise ValueError("backends: got none, expected at least one")
    settings = {
        "model_list": [_deployment(backend) for backend in backends],
        "router_settings": {
            "routing_strategy": "simple-shuffle",  # by weight, without state shared between replicas
            "num_retries": RETRIES,
            # Work that took too long, or was asked for wrongly, fails the same way a second time.
            "retry_policy": {
                "TimeoutErrorRetries": 0,
                "BadRequestErrorRetries": 0,
                "ContentPolicyViolationErrorRetries": 0,
                "NotFoundErrorRetries": 0,
                "AuthenticationErrorRetries": 0,
                "RateLimitErrorRetries": RETRIES,
                "InternalServerErrorRetries": RETRIES,
                "ServiceUnavailableErrorRetries": RETRIES,
            },
            "allowed_fails": 0,
            "cooldown_time": COOLDOWN_SECONDS,
            "timeout": TIMEOUT_SECONDS,
            "stream_timeout": TIMEOUT_SECONDS,
        },
        "litellm_settings": {
            "request_timeout": TIMEOUT_SECONDS,
            "drop_params": True,  # what an engine does not know is left out, not refused
            "telemetry": False,
            "callbacks": ["prometheus"],
            # Prompts and answers reach no log and no callback.
            "turn_off_message_logging": True,
            "redact_user_api_key_info": True,
        },
        "general_settings": {
            "master_key": f"os.environ/{MASTER_KEY_VARIABLE}",
            "store_model_in_db": False,
            "allow_client_side_credentials": False,
            "disable_spend_logs": True,
        },
    }
    return yaml.safe_dump(settings, sort_keys=False, width=120)


def _deployment(backend: Backend) -> dict[str, Any]:
    weight = {} if backend.weight is None else {"weight": backend.weight}
    return {
        "model_name": backend.model,
        "litellm_params": {
            "model": f"{backend.provider.value}/{backend.model}",
            "api_base": backend.base_url,
            # The client library refuses to run without a key, even where the server asks for none.
            "api_key": f"os.environ/{backend.key_variable}" if backend.key_variable else "none",
            **weight,
        },
        # Stands in metrics; without it LiteLLM makes one from all of the above.
        "model_info": {"id": f"{backend.server}/{backend.model}"},
    }
