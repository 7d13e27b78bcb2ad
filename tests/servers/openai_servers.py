"""Small servers that speak OpenAI's API, and a client for them. Only the standard library."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PATIENCE_SECONDS = 30


@dataclass(kw_only=True)
class OpenAiServer:
    """One server that answers for any model with its own name, and remembers what it was asked.

    A streamed answer stops after its first piece until `go_on` is set; `cut_off` is set once its reader has gone.
    """

    name: str
    port: int = 0
    asked: list[tuple[str, str | None, dict[str, Any]]] = field(default_factory=list)
    go_on: threading.Event = field(default_factory=threading.Event)
    cut_off: threading.Event = field(default_factory=threading.Event)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def forget(self) -> None:
        self.asked.clear()
        self.go_on.set()
        self.cut_off.clear()


@contextmanager
def serving(name: str) -> Iterator[OpenAiServer]:
    """A server on a free port of the loopback interface."""
    found = OpenAiServer(name=name)
    found.forget()

    class Handler(_Handler):
        server_of = found

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield found
        finally:
            found.go_on.set()
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server_of: OpenAiServer

    def do_GET(self) -> None:
        self._note({})
        self._answer({"object": "list", "data": [{"id": self.server_of.name, "object": "model"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._note(body)
        if body.get("stream"):
            self._stream(body["model"])
        elif self.path.endswith("/embeddings"):
            self._answer({"object": "list", "model": body["model"], "data": [{"embedding": [0.5], "index": 0}]})
        elif self.path.endswith("/responses"):
            text = {"type": "output_text", "text": self.server_of.name, "annotations": []}
            message = {"type": "message", "id": "2", "status": "completed", "role": "assistant", "content": [text]}
            usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
            response = {"id": "1", "object": "response", "created_at": 1, "status": "completed", "output": [message]}
            tools = {"tools": [], "tool_choice": "auto", "parallel_tool_calls": True}
            self._answer({**response, **tools, "model": body["model"], "usage": usage})
        else:
            message = {"role": "assistant", "content": self.server_of.name}
            choice = {"index": 0, "message": message, "text": self.server_of.name, "finish_reason": "stop"}
            self._answer({"id": "1", "object": "chat.completion", "model": body["model"], "choices": [choice]})

    def _note(self, body: dict[str, Any]) -> None:
        self.server_of.asked.append((self.path, self.headers["Authorization"], body))

    def _answer(self, body: dict[str, Any]) -> None:
        text = json.dumps({"created": 1, "usage": {"prompt_tokens": 1, "completion_tokens": 1}, **body}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _stream(self, model: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        try:
            self._piece(model, "first")
            while not self.server_of.go_on.wait(0.2):
                self._piece(model, "")  # finds out whether anybody still listens
            self._piece(model, "last")
            self.wfile.write(b"data: [DONE]\n\n")
        except OSError:
            self.server_of.cut_off.set()

    def _piece(self, model: str, text: str) -> None:
        choice = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}
        chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": [choice]}
        self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Says nothing."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


def ask(port: int, method: str, path: str, key: str | None = None, body: Any = None, **headers: str) -> Answer:
    """One request, path as it is written."""
    with open_stream(port, method, path, key, body, **headers) as response:
        text = response.read().decode()
        return Answer(status=response.status, headers={k.lower(): v for k, v in response.getheaders()}, text=text)


@contextmanager
def open_stream(
    port: int, method: str, path: str, key: str | None = None, body: Any = None, **headers: str
) -> Iterator[Any]:
    """The response of one request, to be read piece by piece; the connection closes at the end."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if key is not None:
        sent["Authorization"] = f"Bearer {key}"
    if body is not None:
        sent["Content-Type"] = "application/json"
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    try:
        connection.request(method, path, body=None if body is None else json.dumps(body), headers=sent)
        response = connection.getresponse()
        try:
            yield response
        finally:
            response.close()
    finally:
        connection.close()
