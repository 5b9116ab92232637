"""Calls to the double, by its clock."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from monitorpi_thingspeak_double import Double


class Clock:
    """A clock that stands until it is moved."""

    now = 1_800_000_000.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


def ask(
    double: Double, path: str, body: Any = None, method: str = "", **headers: str
) -> tuple[int, Any]:
    """Make one call and return status and JSON."""
    data = None if body is None else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(  # noqa: S310 - an address of ours
        double.url + path,
        data=data,
        headers={"Content-Type": "application/json", **named},
        method=method or ("GET" if body is None else "POST"),
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - an address of ours
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read() or b"null")


def bulk(key: str, *seconds: int) -> dict[str, Any]:
    """Build a bulk update."""
    rows = [{"created_at": f"2027-01-15T08:00:{s:02d}Z", "field1": str(s)} for s in seconds]
    return {"write_api_key": key, "updates": rows}
