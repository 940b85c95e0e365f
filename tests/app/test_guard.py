"""Which requests may pass: known hosts only, and nothing that another site asks a browser to send."""

from __future__ import annotations

from typing import Any

import pytest

from app.guard import Guard, is_loopback, refusal
from app.outside import Outside, host_name

HOME = "127.0.0.1:7860"


@pytest.mark.parametrize(
    ("host", "is_own"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("[::1]", True),
        ("::ffff:127.0.0.1", True),
        ("0.0.0.0", False),
        ("10.0.0.7", False),
        ("testclient", False),
        ("localhost.evil.example", False),
        ("", False),
    ],
)
def test_is_loopback(host: str, is_own: bool) -> None:
    assert is_loopback(host) is is_own


@pytest.mark.parametrize(
    ("host", "name"),
    [("LOCALHOST:7860", "localhost"), ("[::1]:80", "::1"), ("a.example.", "a.example"), ("", "")],
)
def test_host_name(host: str, name: str) -> None:
    assert host_name(host) == name


@pytest.mark.parametrize(
    ("method", "host", "origin", "site", "passes"),
    [
        ("GET", HOME, "", "", True),
        ("GET", "localhost:7860", "", "", True),
        ("GET", "evil.example:7860", "", "", False),  # DNS rebinding
        ("GET", "", "", "", False),
        ("GET", "[::1", "", "", False),
        ("POST", HOME, "", "", True),  # curl
        ("POST", HOME, f"http://{HOME}", "same-origin", True),
        ("POST", HOME, "http://evil.example", "cross-site", False),
        ("POST", HOME, "http://127.0.0.1:9999", "same-site", False),  # another program's page
        ("POST", HOME, "null", "cross-site", False),
        ("POST", HOME, "", "cross-site", False),
        ("POST", HOME, "", "same-site", False),
        ("DELETE", HOME, "http://evil.example", "", False),
        ("PATCH", HOME, "http://[evil", "", False),
    ],
)
def test_a_server_of_this_machine(method: str, host: str, origin: str, site: str, passes: bool) -> None:
    said = refusal(method, host, origin, site, bound_to="127.0.0.1", allowed=())
    assert (said == "") is passes


def test_a_server_for_others_checks_the_host_only_when_told_which() -> None:
    def said(host: str, origin: str = "", allowed: tuple[str, ...] = ()) -> str:
        return refusal("POST", host, origin, "", bound_to="0.0.0.0", allowed=allowed)

    assert said("10.0.0.7:7860", "http://10.0.0.7:7860") == ""
    assert "another site" in said("10.0.0.7:7860", "http://evil.example")
    assert said("studio.example", "https://studio.example", ("Studio.example",)) == ""
    assert "not reached" in said("10.0.0.7:7860", "", ("studio.example",))
    assert said("127.0.0.1:7860", "https://studio.example", ("studio.example",)) == ""  # behind a proxy


class Wire:
    """Speak ASGI to a guard by hand."""

    def __init__(self, *bodies: bytes) -> None:
        self.bodies = list(bodies)
        self.sent: list[dict[str, Any]] = []
        self.got = 0
        self.outside = Outside()
        self.port = 7860

    async def receive(self) -> dict[str, Any]:
        if not self.bodies:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": self.bodies.pop(0), "more_body": bool(self.bodies)}

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        while True:
            message = await receive()
            self.got += len(message.get("body", b""))
            if not message.get("more_body"):
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def ask(self, kind: str = "http", path: str = "/api/files", **headers: str) -> None:
        guard = Guard(
            self.app,
            bound_to="127.0.0.1",
            upload_path="/api/files",
            max_upload_bytes=2 << 20,
            outside=self.outside,
        )
        given = {"host": HOME, **headers}
        pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in given.items()]
        scope = {"type": kind, "path": path, "headers": pairs, "server": ("127.0.0.1", self.port)}
        await guard(scope | ({"method": "POST"} if kind == "http" else {}), self.receive, self.send)


async def test_a_body_that_says_it_is_too_large_is_not_read() -> None:
    wire = Wire(b"x")
    await wire.ask(content_length=str(3 << 20))
    assert wire.sent[0]["status"] == 413
    assert wire.got == 0
    assert b"At most 2 MB" in wire.sent[1]["body"]


async def test_a_body_that_grows_too_large_is_cut_off() -> None:
    piece = b"x" * (1 << 20)
    wire = Wire(piece, piece, piece, piece)
    await wire.ask()
    assert wire.sent[0]["status"] == 413
    assert wire.got <= 2 << 20
    small = Wire(piece, piece)
    await small.ask()
    assert small.sent[0]["status"] == 200
    other = Wire(piece, b"y")
    await other.ask(path="/api/sessions")
    assert other.sent[0]["status"] == 413


async def test_a_websocket_from_another_site_is_refused() -> None:
    wire = Wire(b"")
    await wire.ask("websocket", origin="http://evil.example")
    assert wire.sent == [
        {"type": "websocket.close", "code": 1008, "reason": "The request comes from another site."}
    ]
    friend = Wire(b"")
    await friend.ask("websocket", origin=f"http://{HOME}")
    assert friend.sent[0]["status"] == 200  # it reached the app behind the guard


@pytest.mark.parametrize(
    ("port", "host", "origin", "passes"),
    [
        (7860, HOME, "", True),
        (7860, "abc.share.example", "", False),  # that name is for the tunnel's own port
        (9000, "abc.share.example", "", True),
        (9000, "abc.share.example", "https://abc.share.example", True),
        (9000, "abc.share.example", "https://evil.example", False),
        (9000, HOME, "", False),  # a stranger may write any header
        (9000, "localhost", "http://localhost", False),
        (9000, "[::1", "", False),
        (9000, "", "", False),
    ],
)
async def test_the_tunnels_port_knows_the_links_name_only(
    port: int, host: str, origin: str, passes: bool
) -> None:
    wire = Wire(b"")
    wire.port = port
    wire.outside.port = 9000
    wire.outside.take("https://ABC.share.example")
    await wire.ask(host=host, **({"origin": origin} if origin else {}))
    assert (wire.sent[0]["status"] == 200) is passes


async def test_before_the_link_is_open_nobody_comes_by_its_port() -> None:
    wire = Wire(b"")
    wire.port = wire.outside.port = 9000
    await wire.ask(host="")
    assert wire.sent[0]["status"] == 403
