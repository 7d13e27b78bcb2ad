"""Rules about the gateway, by LiteLLM's metrics."""

from slipway.monitoring.rules import Alert, Group, Severity
from slipway.monitoring.targets import ROLE_LABEL, Role, ScrapeTarget

SERVER_ERROR_SHARE = 0.05
# LiteLLM 1.108: 0 healthy, 1 partly failing, 2 failing.
_OUTAGE = 2


def gateway_group(target: ScrapeTarget) -> Group:
    """Whether the gateway answers, and what it answers."""
    up = f'up{{{ROLE_LABEL}="{Role.GATEWAY.value}"}}'
    failed = 'sum(rate(litellm_proxy_failed_requests_metric_total{exception_status=~"5.."}[10m]))'
    return Group(
        name="slipway-gateway",
        rules=(
            Alert(
                name="GatewayDown",
                severity=Severity.CRITICAL,
                expression=f"absent({up} == 1)",
                for_seconds=300,
                summary="No gateway answers",
                description=f"No replica of {target.name} has answered a scrape for 5 minutes: clients reach no model.",
            ),
            Alert(
                name="GatewayErrors",
                severity=Severity.CRITICAL,
                expression=f"{failed} / sum(rate(litellm_proxy_total_requests_metric_total[10m])) "
                f"> {SERVER_ERROR_SHARE}",
                for_seconds=300,
                summary="The gateway answers with server errors",
                description="{{ $value | humanizePercentage }} of the requests of the last 10 minutes ended with 5xx.",
            ),
            Alert(
                name="GatewayBackendDown",
                severity=Severity.WARNING,
                expression=f"max by (litellm_model_name, api_base) (litellm_deployment_state) == {_OUTAGE}",
                for_seconds=120,
                summary="The gateway has given up on a server",
                description="{{ $labels.api_base }} fails for {{ $labels.litellm_model_name }}.",
            ),
        ),
    )
