"""A real Prometheus with the generated configuration: it finds its target, takes its series and loads the rules."""

import http.server
import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import urlopen

import pytest
import yaml
from debian_programs import DebianPrometheus

from slipway.catalog.types import Platform
from slipway.monitoring import Role, ScrapeTarget, Watched, WatchedServer, configuration, rule_file, scrape_job

pytestmark = pytest.mark.servers

KEY = "a-key-for-scraping"
PATIENCE_SECONDS = 60
TARGET = ScrapeTarget(
    name="chat", role=Role.ENGINE, path="/metrics", port_name="http", port=8000, secret="apiKey", keep_labels=False
)
SHOWN = 'vllm:num_requests_waiting{engine="0",model_name="chat"} 7\n'


class Metrics(http.server.BaseHTTPRequestHandler):
    """A server's metrics, for whoever has its key."""

    def do_GET(self) -> None:
        allowed = self.path == "/metrics" and self.headers.get("Authorization") == f"Bearer {KEY}"
        self.send_response(200 if allowed else 401)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(SHOWN.encode() if allowed else b"")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the class's own name
        """Says nothing."""


@contextmanager
def served() -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Metrics)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextmanager
def running(real: DebianPrometheus, folder: Path) -> Iterator[str]:
    """Prometheus on loopback, by its base URL; ended and waited for whatever happens."""
    address = f"127.0.0.1:{free_port()}"
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [
                real.prometheus,
                "--config.file=prometheus.yml",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={address}",
            ],
            cwd=folder,
            stdout=log,
            stderr=log,
        )
        try:
            yield f"http://{address}"
        finally:
            process.terminate()
            process.wait(timeout=30)


def asked(base: str, path: str) -> Any:
    with urlopen(f"{base}/api/v1/{path}", timeout=5) as answer:  # noqa: S310 - always http on loopback
        return json.load(answer)["data"]


def eventually(look: Callable[[], Any]) -> Any:
    """The first answer that is not empty."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            if found := look():
                return found
        except URLError:
            pass  # not listening yet
        time.sleep(0.5)
    raise AssertionError(f"nothing within {PATIENCE_SECONDS} s")


def written(folder: Path, port: int) -> None:
    server = WatchedServer(target=TARGET, concurrency={"chat": 4}, starting_seconds=600)
    groups = Watched(platform=Platform.VLLM, servers=(server,)).groups
    (folder / "rules.yml").write_text(yaml.safe_dump(rule_file(groups)))
    (folder / "key").write_text(KEY)
    job = scrape_job(TARGET, [f"127.0.0.1:{port}"], key_file=str(folder / "key"))
    # Its first scrape comes within one interval: a test need not wait for the real one.
    job |= {"scrape_interval": "1s", "scrape_timeout": "1s"}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration([job], rule_files=["rules.yml"])))


def test_a_real_prometheus_scrapes_by_the_generated_configuration(real_prometheus: DebianPrometheus, tmp_path: Path):
    with served() as port:
        written(tmp_path, port)
        with running(real_prometheus, tmp_path) as base:
            (sample,) = eventually(lambda: asked(base, f"query?query={quote('vllm:num_requests_waiting')}")["result"])
            assert sample["metric"] == {
                "__name__": "vllm:num_requests_waiting",
                "engine": "0",
                "instance": f"127.0.0.1:{port}",
                "job": "chat",
                "model_name": "chat",
                "slipway_role": "engine",
                "slipway_server": "chat",
            }
            assert sample["value"][1] == "7"
            (target,) = asked(base, "targets")["activeTargets"]
            assert (target["health"], target["lastError"]) == ("up", "")
            loaded = {group["name"]: group["rules"] for group in asked(base, "rules")["groups"]}
            assert {rule["name"] for rule in loaded["slipway-servers"]} == {
                "EngineDown",
                "EngineNotStarting",
                "ModelUnavailable",
                "ModelNotServed",
            }
            # The queue is longer than planned for, so its alert is on the way at the next evaluation. A rule that was
            # evaluated before the first scrape may have found the model missing; by then it has found it.
            waiting = {"RequestsWaiting": ("pending", None)}
            eventually(lambda: pending_alerts(base) == waiting)


def pending_alerts(base: str) -> dict[str, tuple[str, str | None]]:
    """State and last error of the alerts that are on the way, by name."""
    rules = [rule for group in asked(base, "rules")["groups"] for rule in group["rules"]]
    return {
        rule["name"]: (rule["state"], rule.get("lastError"))
        for rule in rules
        if rule["type"] == "alerting" and rule["state"] == "pending"
    }


def test_without_its_key_a_target_is_down(real_prometheus: DebianPrometheus, tmp_path: Path):
    with served() as port:
        written(tmp_path, port)
        (tmp_path / "key").write_text("another")
        with running(real_prometheus, tmp_path) as base:
            looked = lambda: [one for one in asked(base, "targets")["activeTargets"] if one["lastError"]]  # noqa: E731
            (target,) = eventually(looked)
            assert (target["health"], target["lastError"]) == ("down", "server returned HTTP status 401 Unauthorized")
