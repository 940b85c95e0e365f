"""What a WHIP or WHEP request must bring along, and the status for one that does not.

Apart from the routes, so that another kind of authorization can take the place of `check_bearer`.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastapi import Request
from fastapi.responses import JSONResponse

if TYPE_CHECKING:
    from .settings import ServerSettings

SDP = "application/sdp"
FRAGMENT = "application/trickle-ice-sdpfrag"
MAX_BYTES = 65_536


class Refused(Exception):
    """Carry a status that no error of the tree stands for."""

    def __init__(self, status: int, message: str, hint: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.message, self.hint = status, message, hint
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def is_open_to(server: ServerSettings) -> Callable[[str, str], bool]:
    """Return what tells whether pages of an origin may use a path: by server.stream_origins."""
    origins = frozenset(one.lower().rstrip("/") for one in server.stream_origins)

    def is_open(path: str, origin: str) -> bool:
        here = re.match(r"/wh[ie]p(/|$)", path) is not None
        return here and ("*" in origins or origin.lower() in origins)

    return is_open


def check_bearer(authorization: str, token: str) -> None:
    """Raise Refused (401) unless the header carries `token` (RFC 6750, 2.1 and 3); no token lets all in."""
    if not token:
        return
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() != "bearer" or not given.strip():
        challenge, said = 'Bearer realm="vitascope"', "This needs a token."
    elif not hmac.compare_digest(given.strip().encode(), token.encode()):
        challenge, said = 'Bearer realm="vitascope", error="invalid_token"', "The token is not the right one."
    else:
        return
    hint = "Send the server's token as a bearer token."
    raise Refused(401, said, hint, WWW_Authenticate=challenge)


def token_of(server: ServerSettings) -> str:
    """Return server.token in plain, or ""."""
    token: Any = getattr(server, "token", None)
    return str(token.get_secret_value() if hasattr(token, "get_secret_value") else token or "")


async def body(request: Request, kind: str) -> str:
    """Return the text of a request of media type `kind`, or raise Refused: 415, 413, 400."""
    said = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if said != kind:
        name = "Accept_Patch" if request.method == "PATCH" else "Accept_Post"
        raise Refused(415, f'The body is "{said[:80]}".', f"Send {kind}.", **{name: kind})
    data = bytearray()
    async for piece in request.stream():
        data += piece
        if len(data) > MAX_BYTES:
            raise Refused(413, "The body is too large.", f"At most {MAX_BYTES} bytes are read.")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused(400, "The body is not UTF-8 text.", f"Send {kind}.") from None


def check_match(request: Request, etag: str) -> None:
    """Check If-Match as RFC 9725, 4.3.2 wants it; "*" announces a restart of ICE, which is not done."""
    given = request.headers.get("if-match")
    if given is None:
        raise Refused(428, "The request has no If-Match.", "Send the ETag that came with the answer.")
    if given.strip().strip('"') == "*":
        raise Refused(
            422, "ICE cannot be restarted here.", "The session goes on. End it with DELETE and offer anew."
        )
    if etag not in [one.strip() for one in given.split(",")]:
        raise Refused(412, "If-Match names another ICE session.", "Send the ETag that came with the answer.")


def error_answer(status: int, message: str, hint: str, kind: str) -> JSONResponse:
    """Return the error body that all routes use."""
    return JSONResponse({"error": {"message": message, "hint": hint, "kind": kind}}, status)
