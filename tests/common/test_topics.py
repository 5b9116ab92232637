"""Topics and ids: built, parsed, refused."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitorpi_common.topics import (
    Topic,
    TopicError,
    address_id,
    is_slug,
    mac_from_id,
    mac_id,
    matches,
    pattern,
    slug,
)

slugs = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)


@given(slugs, slugs, slugs, slugs)
def test_a_topic_reads_back_as_itself(site: str, service: str, kind: str, id_: str) -> None:
    """What is built from four ids is parsed into the same four, and its own pattern covers it."""
    topic = Topic(site, service, kind, id_)

    assert Topic.parse(str(topic)) == topic
    assert matches(pattern(site, service), str(topic))
    assert not matches(pattern(site, "x" + service), str(topic))


@given(st.text(max_size=60))
def test_any_text_becomes_an_id(text: str) -> None:
    """Whatever a device calls itself, its id fits into a topic."""
    assert is_slug(slug(text))


@pytest.mark.parametrize(
    "text",
    [
        "", "monitorpi", "monitorpi/v1/a/b/c", "monitorpi/v1/a/b/c/d/e", "monitorpi/v2/a/b/c/d",
        "other/v1/a/b/c/d", "monitorpi/v1/A/b/c/d", "monitorpi/v1/a/b/c/+", "monitorpi/v1/a//c/d",
        "monitorpi/v1/a/b/c/-d", "monitorpi/v1/a/b/c/" + "d" * 129,
    ],
)  # fmt: skip
def test_what_is_not_a_topic_is_refused(text: str) -> None:
    """Wrong level counts, versions, letters and wildcards are errors."""
    with pytest.raises(TopicError):
        Topic.parse(text)


@pytest.mark.parametrize(
    ("text", "id_"),
    [("eth0", "eth0"), ("wlan0_mon", "wlan0-mon"), ("eth0.100", "eth0-100"), ("***", "x")],
)
def test_slug(text: str, id_: str) -> None:
    """Everything outside the alphabet becomes a hyphen."""
    assert slug(text) == id_


@given(st.integers(0, 2**48 - 1))
def test_a_mac_and_its_id(number: int) -> None:
    """The id of a MAC address leads back to it."""
    mac = ":".join(f"{number:012x}"[i : i + 2] for i in range(0, 12, 2))

    assert mac_from_id(mac_id(mac)) == mac
    assert mac_id(mac.upper()) == mac_id(mac)


def test_an_id_that_is_no_mac_is_refused() -> None:
    """Twelve lowercase hex digits, nothing else."""
    with pytest.raises(TopicError):
        mac_from_id("b8:27:eb:12:34:56")


@given(st.ip_addresses())
def test_an_address_has_an_id(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    """Every IP address has an id, and no two share one."""
    id_ = address_id(str(address), "eth0")

    assert is_slug(id_)
    if isinstance(address, ipaddress.IPv4Address):
        assert ipaddress.ip_address(id_.replace("-", ".")) == address
    else:
        assert ipaddress.IPv6Address(int(id_.split("-")[0], 16)) == address


def test_a_link_local_address_carries_its_link() -> None:
    """The same link-local address on two links has two ids."""
    assert address_id("fe80::1", "eth0") == "fe80" + "0" * 27 + "1-eth0"
    assert address_id("fe80::1%wlan0") == "fe80" + "0" * 27 + "1-wlan0"
