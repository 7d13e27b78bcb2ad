"""Rules about model servers: whether they answer, and whether they keep up."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from slipway.catalog.types import Platform
from slipway.monitoring.rules import Alert, Group, Record, Rule, Severity
from slipway.monitoring.targets import ROLE_LABEL, SERVER_LABEL, Role, ScrapeTarget

# Community rules for vLLM stand at 0.9 to 0.95 (facts of 2026-11): above it, requests are about to be preempted.
KV_CACHE_FULL_SHARE = 0.95
# A reader begins to wonder after a few seconds; community rules stand at 2 to 5. One of vLLM's own bucket bounds.
FIRST_TOKEN_SECONDS = 5
FAILED_SHARE = 0.01
# Clients that hang up are usual; one in ten is a sign that they lose patience.
ABORTED_SHARE = 0.10
_ENGINES = f'{ROLE_LABEL}="{Role.ENGINE.value}"'
_PER_MODEL = f"{SERVER_LABEL}, model_name"
_SERVER = f"{{{{ $labels.{SERVER_LABEL} }}}}"
_MODEL = "{{ $labels.model_name }}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedServer:
    """A model server with metrics.

    `concurrency` is requests in flight that one replica was planned for, by the name its model is served under.
    `starting_seconds` is how long a replica may take from its beginning to its first answer.
    """

    target: ScrapeTarget
    concurrency: Mapping[str, int]
    starting_seconds: int


def engine_groups(servers: Sequence[WatchedServer], platform: Platform) -> Iterator[Group]:
    """Rules about servers that are scraped; load can only be judged by vLLM's metrics."""
    if not servers:
        return
    patience = max(server.starting_seconds for server in servers)
    yield Group(name="slipway-servers", rules=(*_replicas(patience), *_outages(servers)))
    if platform is Platform.VLLM:
        yield Group(name="slipway-load", rules=(*_RECORDS, *_queues(servers), *_LOAD))


def _replicas(patience_seconds: int) -> Iterator[Rule]:
    up = f"up{{{_ENGINES}}}"
    yield Alert(
        name="EngineDown",
        severity=Severity.WARNING,
        # Only what has answered before: a server that loads its weights is not down.
        expression=f"{up} == 0 and max_over_time({up}[30m]) == 1",
        for_seconds=120,
        summary=f"A replica of {_SERVER} stopped answering",
        description=f"{{{{ $labels.instance }}}} of {_SERVER} has not answered a scrape for 2 minutes.",
    )
    yield Alert(
        name="EngineNotStarting",
        severity=Severity.WARNING,
        expression=f"{up} == 0",
        for_seconds=patience_seconds,
        summary=f"A replica of {_SERVER} does not start",
        description=f"{{{{ $labels.instance }}}} of {_SERVER} has had twice the planned time to start, and gives no "
        "answer.",
    )


def _outages(servers: Sequence[WatchedServer]) -> Iterator[Rule]:
    """One rule a server: what is absent has no labels to tell it apart by, so the rule brings them."""
    for server in servers:
        name = server.target.name
        answering = f'up{{{_ENGINES}, {SERVER_LABEL}="{name}"}}'
        models = ", ".join(server.concurrency)
        yield Alert(
            name="ModelUnavailable",
            severity=Severity.CRITICAL,
            expression=f"absent({answering} == 1) and on () count(max_over_time({answering}[1h]) == 1)",
            for_seconds=180,
            summary=f"No replica of {name} answers",
            description=f"Nobody serves {models}: replicas answered within the last hour, and now none does.",
            labels={SERVER_LABEL: name},
        )
        yield Alert(
            name="ModelNotServed",
            severity=Severity.CRITICAL,
            expression=f"absent({answering} == 1)",
            for_seconds=server.starting_seconds,
            summary=f"{name} does not come up",
            description=f"Nobody serves {models}, and longer than a machine, the image and the weights may take.",
            labels={SERVER_LABEL: name},
        )


def _queues(servers: Sequence[WatchedServer]) -> Iterator[Rule]:
    """A queue is long when another full batch waits behind the one that runs."""
    for server in servers:
        for model, concurrency in server.concurrency.items():
            labels = f'{SERVER_LABEL}="{server.target.name}", model_name="{model}"'
            yield Alert(
                name="RequestsWaiting",
                severity=Severity.WARNING,
                expression=f"avg by ({_PER_MODEL}) (vllm:num_requests_waiting{{{labels}}}) > {concurrency}",
                for_seconds=300,
                summary=f"Requests queue for {_MODEL}",
                description=f"{{{{ $value | humanize }}}} requests wait per replica, which was planned for "
                f"{concurrency} in flight.",
                labels={SERVER_LABEL: server.target.name, "model_name": model},
            )


def _finished_share(reason: str) -> str:
    """The share of finished requests that ended for one reason; nothing where none finished."""
    finished = "rate(vllm:request_success_total{}[10m])"
    some = finished.replace("{}", f'{{finished_reason="{reason}"}}')
    return f"sum by ({_PER_MODEL}) ({some}) / sum by ({_PER_MODEL}) ({finished.replace('{}', '')})"


_RECORDS = (
    Record(
        name="slipway:time_to_first_token_seconds:p95_10m",
        expression=f"histogram_quantile(0.95, sum by (le, {_PER_MODEL}) "
        "(rate(vllm:time_to_first_token_seconds_bucket[10m])))",
    ),
    Record(
        name="slipway:inter_token_latency_seconds:p95_10m",
        expression=f"histogram_quantile(0.95, sum by (le, {_PER_MODEL}) "
        "(rate(vllm:inter_token_latency_seconds_bucket[10m])))",
    ),
    Record(
        name="slipway:output_tokens_per_second:rate5m",
        expression=f"sum by ({_PER_MODEL}) (rate(vllm:generation_tokens_total[5m]))",
    ),
    Record(
        name="slipway:prefix_cache_hit_share:rate10m",
        expression=f"sum by ({_PER_MODEL}) (rate(vllm:prefix_cache_hits_total[10m])) "
        f"/ sum by ({_PER_MODEL}) (rate(vllm:prefix_cache_queries_total[10m]))",
    ),
)
_LOAD = (
    Alert(
        name="EngineStuck",
        severity=Severity.CRITICAL,
        # Both sides carry the labels of the same scrape.
        expression="vllm:num_requests_running > 0 and rate(vllm:generation_tokens_total[10m]) == 0",
        for_seconds=300,
        summary=f"An engine of {_MODEL} has stopped making tokens",
        description="{{ $labels.instance }} holds {{ $value }} requests, and has made no token for 10 minutes.",
    ),
    Alert(
        name="KvCacheNearlyFull",
        severity=Severity.WARNING,
        expression=f"vllm:kv_cache_usage_perc > {KV_CACHE_FULL_SHARE}",
        for_seconds=600,
        summary=f"The KV cache of {_MODEL} is nearly full",
        description="{{ $value | humanizePercentage }} of the KV cache of {{ $labels.instance }} is taken.",
    ),
    Alert(
        name="RequestsPreempted",
        severity=Severity.WARNING,
        expression="rate(vllm:num_preemptions_total[10m]) > 0",
        for_seconds=600,
        summary=f"{_MODEL} runs out of KV cache",
        description="{{ $labels.instance }} sets requests aside to make room for others, and computes them again.",
    ),
    Alert(
        name="FirstTokenSlow",
        severity=Severity.WARNING,
        expression=f"slipway:time_to_first_token_seconds:p95_10m > {FIRST_TOKEN_SECONDS}",
        for_seconds=600,
        summary=f"{_MODEL} is slow to begin its answers",
        description="One request in 20 waits {{ $value | humanizeDuration }} or longer for its first token.",
    ),
    Alert(
        name="RequestsFailing",
        severity=Severity.CRITICAL,
        expression=f"{_finished_share('error')} > {FAILED_SHARE}",
        for_seconds=300,
        summary=f"Requests to {_MODEL} fail",
        description="{{ $value | humanizePercentage }} of the requests of the last 10 minutes ended with an error.",
    ),
    Alert(
        name="RequestsAborted",
        severity=Severity.WARNING,
        expression=f"{_finished_share('abort')} > {ABORTED_SHARE}",
        for_seconds=600,
        summary=f"Clients of {_MODEL} hang up",
        description="{{ $value | humanizePercentage }} of the requests of the last 10 minutes were given up by their "
        "client, or ended by a restart.",
    ),
)
