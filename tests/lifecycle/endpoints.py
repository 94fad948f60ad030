"""An endpoint on loopback that knows how to add, more or less: as much as the model's name says."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# Of the questions "N + 1", those that a model knows.
KNOWN = {"never": lambda n: False, "odd": lambda n: n % 2 == 1, "always": lambda n: True}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/v1/embeddings":
            texts = asked["input"]
            data = [{"index": place, "embedding": [len(text), 1.0, 0.0]} for place, text in enumerate(texts)]
            self._say({"data": data, "usage": {"prompt_tokens": len(texts)}})
            return
        number = int(re.findall(r"\d+", asked["messages"][-1]["content"])[0])
        text = f"It is {number + 1}." if KNOWN[asked["model"]](number) else "I do not know."
        chunk = {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": "stop"}]}
        usage = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}
        events = [*(json.dumps(event) for event in (chunk, usage)), "[DONE]"]
        self._reply("text/event-stream", "".join(f"data: {event}\n\n" for event in events).encode())

    def _say(self, body: object) -> None:
        self._reply("application/json", json.dumps(body).encode())

    def _reply(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@contextmanager
def adding() -> Iterator[str]:
    """Its URL, while it runs."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            thread.join()
