"""A headless Chromium, driven through its DevTools protocol over a pair of pipes."""

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
KEYS = {"Tab": 9, "Enter": 13, " ": 32, "ArrowRight": 39, "ArrowDown": 40}


class Chromium:
    """One page of a browser that is cut off from every network.

    Attributes:
        console: What the page wrote to the console, and its uncaught errors.
        requests: The addresses that it asked for.
    """

    def __init__(self, profile: Path) -> None:
        (command_in, self._out), (self._in, reply_out) = os.pipe(), os.pipe()
        flags = (
            "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            "--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND",
            "--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank",
        )  # fmt: skip
        # The browser reads commands from file descriptor 3 and answers on 4.
        shell = f'exec "$@" 3<&{command_in} 4>&{reply_out}'
        self._process = subprocess.Popen(
            ["bash", "-c", shell, "bash", str(CHROMIUM), *flags],
            pass_fds=(command_in, reply_out),
            stderr=subprocess.DEVNULL,
        )
        os.close(command_in)
        os.close(reply_out)
        self._replies, self._id = self._read(), 0
        self._events: list[dict[str, Any]] = []
        self._session = ""
        pages = self.send("Target.getTargets")["targetInfos"]
        target = next(page["targetId"] for page in pages if page["type"] == "page")
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def close(self) -> None:
        """End the browser."""
        self._session = ""
        self.send("Browser.close")
        self._process.wait(30)
        os.close(self._in)
        os.close(self._out)

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Send one command and wait for its answer; events on the way are kept."""
        self._id += 1
        message: dict[str, Any] = {"id": self._id, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while (reply := next(self._replies)).get("id") != self._id:
            self._events.append(reply)
        if "error" in reply:
            raise RuntimeError(f"{method}: {reply['error']}")
        return reply["result"]

    def _read(self):
        rest = b""
        while piece := os.read(self._in, 1 << 20):
            *messages, rest = (rest + piece).split(b"\0")
            yield from map(json.loads, messages)
        raise EOFError("the browser went away")

    def open(self, address: str, width: int = 1200, height: int = 900, dark: bool = False) -> None:
        """Show a page in a window of this size, from the beginning."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])
        self._events.clear()
        self._go("about:blank")
        self._events.clear()
        self._go(address)

    def _go(self, address: str) -> None:
        """Go there and wait until its scripts have run."""
        self.send("Page.navigate", url=address)
        while not any(event.get("method") == "Page.loadEventFired" for event in self._events):
            self._events.append(next(self._replies))

    def document(self) -> str:
        """The document as it stands."""
        root = self.send("DOM.getDocument")["root"]["nodeId"]
        return self.send("DOM.getOuterHTML", nodeId=root)["outerHTML"]

    def run(self, script: str) -> Any:
        """Evaluate an expression, wait if it is a promise, and give its value."""
        done = self.send(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in done:
            raise RuntimeError(json.dumps(done["exceptionDetails"]))
        return done["result"].get("value")

    def press(self, *keys: str) -> None:
        """Press and release keys, one after the other, where the focus is."""
        for key in keys:
            named = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key]}
            text = {"text": {"Enter": "\r", " ": " "}[key]} if key in ("Enter", " ") else {}
            self.send("Input.dispatchKeyEvent", type="keyDown", **named, **text)
            self.send("Input.dispatchKeyEvent", type="keyUp", **named)

    def point(self, x: float, y: float, click: bool = False) -> None:
        """Move the pointer there, and click."""
        at = {"x": x, "y": y}
        self.send("Input.dispatchMouseEvent", type="mouseMoved", **at)
        if click:
            for kind in ("mousePressed", "mouseReleased"):
                self.send("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **at)

    def screenshot(self) -> bytes:
        """A PNG of the whole page."""
        image = self.send("Page.captureScreenshot", captureBeyondViewport=True)
        return base64.b64decode(image["data"])

    @property
    def console(self) -> list[str]:
        kinds = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        return [json.dumps(e["params"]) for e in self._events if e.get("method") in kinds]

    @property
    def requests(self) -> list[str]:
        """Without the page itself and what stands in it."""
        asked = [e for e in self._events if e.get("method") == "Network.requestWillBeSent"]
        urls = [event["params"]["request"]["url"] for event in asked]
        return [url for url in urls if not url.startswith(("file:", "data:", "blob:"))]
