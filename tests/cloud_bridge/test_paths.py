"""Paths into payloads: which of them the contract knows, and what they lead to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from monitorpi_cloud_bridge.paths import PathError, check, values
from monitorpi_common.messages import Health, Traffic

if TYPE_CHECKING:
    from pydantic import BaseModel


@pytest.mark.parametrize(
    ("message", "path", "why"),
    [
        (Traffic, "packet", "there is no 'packet'; there are: "),
        (Traffic, "counts.sin", "there is no 'sin'; there are: packets, bytes, "),
        (Traffic, "devices[].tx.sin", "there is no 'sin'; there are: packets, bytes, "),
        (Traffic, "devices.tx.syn", "'devices' is a list: write devices[]"),
        (Traffic, "packets[]", "'packets' is no list"),
        (Traffic, "packets.syn", "there is nothing inside 'packets'"),
        (Traffic, "interface", "'interface' is no number"),
        (Traffic, "counts", "'counts' is no number"),
        (Traffic, "counts.syn.deep", "there is nothing inside 'syn'"),
        (Traffic, "devices[].top_peer.syn.pakets", "there is no 'pakets'; there are: mac, "),
        (Traffic, "devices[role=routr].tx.syn", "there is no 'routr'; there are: "),
        (Traffic, "devices[rle=router].tx.syn", "there is no 'rle'; there are: "),
        (Traffic, "a-b", "'a-b' is no step of a path"), (Traffic, "", "'' is no step of a path"),
        (Health, "detail", "'detail' is no number"),
    ],
)  # fmt: skip
def test_a_path_that_leads_to_no_number_is_refused(
    message: type[BaseModel], path: str, why: str
) -> None:
    """With the step at which it goes wrong."""
    with pytest.raises(PathError) as raised:
        check(message, path)

    assert str(raised.value).startswith(why)


@pytest.mark.parametrize(
    ("payload", "path", "found"),
    [
        ({"a": 3}, "a", [3.0]), ({"a": True}, "a", [1.0]), ({"a": None}, "a", []),
        ({"a": "3"}, "a", []), ({"a": 1e18}, "a", [1e18]), ({"a": -1.1e18}, "a", []),
        ({"a": float("inf")}, "a", []), ({}, "a", []), ([1], "a", []), ({"a": 1}, "a-b", []),
        ({"a": [1, 2, "x"]}, "a[]", [1.0, 2.0]), ({"a": 1}, "a[]", []),
        ({"a": [{"b": 1, "c": "x"}, {"b": 2, "c": 7}, 5]}, "a[c=7].b", [2.0]),
        ({"a": [{"b": 1, "c": "x"}, {"b": 2, "c": 7}, 5]}, "a[c=7].#", [1.0]),
        ({"a": [1, 2]}, "a[].#", [2.0]), ({}, "a[].#", [0.0]),
        ({"a": [0] * 5000}, "a[].#", [4096.0]),
    ],
)  # fmt: skip
def test_where_a_path_leads(payload: Any, path: str, found: list[float]) -> None:
    """To every number; what is missing, no number or beyond all is left out."""
    assert values(payload, path) == found
