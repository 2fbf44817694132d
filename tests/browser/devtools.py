"""Chromium by its DevTools protocol: for pages that draw what comes over a connection."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import tempfile
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from chromium import _FLAGS, WIDTH, artifacts, find_chromium
from tornado.websocket import websocket_connect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

_LISTENING = b"DevTools listening on "
_PATIENCE = 30.0  #: seconds

#: Calls `holds` in the page again and again, until it returns something.
_UNTIL = """new Promise((done, failed) => {
    const end = Date.now() + PATIENCE;
    const look = () => {
        try {
            const found = (EXPRESSION)();
            if (found) done(found);
            else if (Date.now() > end) failed(new Error("never: " + document.body.innerText));
            else setTimeout(look, 50);
        } catch (error) { failed(error) }
    };
    look();
}).then(found => new Promise(done =>
    requestAnimationFrame(() => requestAnimationFrame(() => done(found)))))"""


class Tab:
    """One page in a browser."""

    def __init__(self, socket: Any, session: str = "") -> None:
        self._socket, self._session = socket, session
        self._numbers = itertools.count(1)

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        await self._socket.write_message(json.dumps(message))
        while True:
            answer = json.loads(await self._socket.read_message())
            if answer.get("id") == number:  # all else are events
                assert "error" not in answer, answer
                return answer["result"]

    async def until(self, function: str) -> Any:
        """Return what a JavaScript function gives, once that is something, and it is drawn."""
        waiting = _UNTIL.replace("PATIENCE", f"{1000 * _PATIENCE:g}")
        answer = await self.ask(
            "Runtime.evaluate",
            expression=waiting.replace("EXPRESSION", function),
            awaitPromise=True,
            returnByValue=True,
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def go(self, url: str) -> None:
        """Load a page."""
        await self.ask("Page.enable")
        await self.ask("Page.navigate", url=url)

    async def picture(self, name: str) -> Path:
        """Keep a picture of what is shown among the artifacts."""
        path = artifacts() / f"{name}.png"
        shot = await self.ask("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(shot["data"]))
        return path


@asynccontextmanager
async def a_tab(height: int = 900) -> AsyncIterator[Tab]:
    """Start a browser with an empty profile, and open a tab in it."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = (*_FLAGS, f"--user-data-dir={profile}", f"--window-size={WIDTH},{height}")
        browser = await asyncio.create_subprocess_exec(
            find_chromium(),
            *options,
            "--remote-debugging-port=0",
            stderr=asyncio.subprocess.PIPE,
        )
        assert browser.stderr is not None
        draining = None
        try:
            async with asyncio.timeout(_PATIENCE):
                address = await _listening(browser.stderr)
            draining = asyncio.create_task(browser.stderr.read())
            socket = await websocket_connect(address, max_message_size=1 << 26)
            whole = Tab(socket)
            size = {"width": WIDTH, "height": height}
            target = (await whole.ask("Target.createTarget", url="about:blank"))["targetId"]
            how = {"targetId": target, "flatten": True}
            session = (await whole.ask("Target.attachToTarget", **how))["sessionId"]
            tab = Tab(socket, session)
            metrics = {"deviceScaleFactor": 1, "mobile": False}
            await tab.ask("Emulation.setDeviceMetricsOverride", **size, **metrics)
            yield tab
            socket.close()
        finally:
            if browser.returncode is None:
                browser.kill()
            await browser.wait()
            if draining is not None:
                await draining


async def _listening(stream: asyncio.StreamReader) -> str:
    while line := await stream.readline():
        if line.startswith(_LISTENING):
            return line.removeprefix(_LISTENING).strip().decode()
    raise AssertionError("Chromium ended before it listened")
