"""An S3 server of which the Nth answer goes wrong: a proxy before a real one."""

import threading
from contextlib import contextmanager
from enum import Enum
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class HttpFault(Enum):
    REFUSED = "connection closed before the request is heard"
    UNAVAILABLE = "503 Slow Down"
    ERROR_BEFORE = "500 instead of doing it"
    ERROR_AFTER = "500 after doing it"
    REPLY_LOST = "connection closed after doing it"
    REPLY_TORN = "connection closed in the middle of the reply"
    REPLY_STALLED = "nothing more after half of the reply"
    ERROR_IN_REPLY = "200, and an error in the body"
    CRASH_BEFORE = "the client is gone before the request is heard"
    CRASH_AFTER = "the client is gone after it was done"


_CRASHES = {HttpFault.CRASH_BEFORE, HttpFault.CRASH_AFTER}
_NOT_DONE = {
    HttpFault.REFUSED,
    HttpFault.UNAVAILABLE,
    HttpFault.ERROR_BEFORE,
    HttpFault.ERROR_IN_REPLY,
    HttpFault.CRASH_BEFORE,
}
_ERROR = b"<Error><Code>InternalError</Code><Message>Please try again.</Message></Error>"


class FaultyServer(ThreadingHTTPServer):
    """Passes requests on; the Nth since `arm` fails, or the first after it that can.

    Attributes:
        heard: The requests since then.
        fired: Whether one has failed.
    """

    daemon_threads = True

    def __init__(self, endpoint):
        self.backend = urlsplit(endpoint).netloc
        self._lock = threading.Lock()
        self.disarm()
        super().__init__(("127.0.0.1", 0), _Handler)

    def arm(self, fault, nth):
        self.fault, self.nth, self.heard, self.fired = fault, nth, 0, False

    def disarm(self):
        self.arm(None, 0)

    def next_fault(self, headers):
        """The fault of this request; after a crash nothing is heard or answered."""
        with self._lock:
            self.heard += 1
            if self.fired:
                return HttpFault.CRASH_BEFORE if self.fault in _CRASHES else None
            can_fail = self.fault is not HttpFault.ERROR_IN_REPLY or _is_copy(headers)
            self.fired = self.fault is not None and self.heard >= self.nth and can_fail
            return self.fault if self.fired else None


def _is_copy(headers):
    """Only a copy is answered with 200 before it is done, or not."""
    return "x-amz-copy-source" in headers


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _handle(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.server.next_fault(self.headers)
        if fault not in _NOT_DONE:
            head, reply = self._forward(body)
        if fault is None:
            self._send(head + reply)
        elif fault is HttpFault.UNAVAILABLE:
            self._send(_reply(b"503 Slow Down", _ERROR))
        elif fault in (HttpFault.ERROR_BEFORE, HttpFault.ERROR_AFTER):
            self._send(_reply(b"500 Internal Server Error", _ERROR))
        elif fault is HttpFault.ERROR_IN_REPLY:
            self._send(_reply(b"200 OK", _ERROR))
        else:
            self.close_connection = True
            if fault in (HttpFault.REPLY_TORN, HttpFault.REPLY_STALLED):
                whole = head + reply
                self._send(whole[: len(whole) - max(len(reply), len(head)) // 2])
            if fault is HttpFault.REPLY_STALLED:
                self.connection.recv(1)  # until the client has had enough

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _handle

    def _forward(self, body):
        connection = HTTPConnection(self.server.backend)
        try:
            connection.request(self.command, self.path, body, dict(self.headers))
            answer = connection.getresponse()
            lines = [f"{name}: {value}" for name, value in answer.getheaders()]
            status = f"HTTP/1.1 {answer.status} {answer.reason}"
            return "\r\n".join([status, *lines, "", ""]).encode("latin-1"), answer.read()
        finally:
            connection.close()

    def _send(self, data):
        self.wfile.write(data)

    def log_message(self, *_):
        pass


def _reply(status, body):
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


@contextmanager
def faulty_server(endpoint):
    server = FaultyServer(endpoint)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
