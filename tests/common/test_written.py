"""What people write in settings besides numbers and words: each way to be right and wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import TypeAdapter, ValidationError

from monitorpi_common.endpoint import Endpoint, Keys, endpoint
from monitorpi_common.topics import normal_mac
from monitorpi_common.written import (
    AddressOrMac,
    FilePath,
    FolderPath,
    SourceName,
    WebAddress,
    either,
    printable,
    web_address,
)

MAC = "b8:27:eb:12:34:56"


def outcome(kind: Any, value: object) -> object:
    """Return what is made of a value, or what is said of it."""
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        return error.errors()[0]["msg"].removeprefix("Value error, ")


@pytest.mark.parametrize(
    "text",
    [
        MAC, "B8-27-EB-12-34-56", " b8:27:EB:12:34:56\n", "b827.eb12.3456", "b827eb123456",
        "b827eb-123456", "b827eb:123456",
    ],
)  # fmt: skip
def test_a_mac_address_is_taken_as_labels_and_tools_print_it(text: str) -> None:
    """It becomes the one form that messages have."""
    assert normal_mac(text) == MAC
    assert outcome(AddressOrMac, text) == MAC


@pytest.mark.parametrize(
    "text",
    ["", "pi", MAC + ":00", MAC[:-3], "b8:27-eb:12-34:56", "b827.eb12", "g827eb123456", "1.2.3"],
)
def test_what_is_no_mac_address_says_how_one_is_written(text: str) -> None:
    """It may be an IP address instead, where that is taken too."""
    with pytest.raises(ValueError, match=r"^no MAC address: write it as b8:27:eb:12:34:56$"):
        normal_mac(text)
    assert outcome(AddressOrMac, text) == "neither an IP address nor a MAC address"
    assert normal_mac(7) == 7


NO_IPV4 = "no address: IPv4 has four numbers of 0 to 255, without leading zeros"
NO_INTERFACE = "no name of an interface: 1 to 15 bytes, no space or slash"
NO_URL = "no http or https address: write it as http://HOST:PORT/"
UNSEEN = "empty, or not all of it can be seen: write a name, or leave it out"


@pytest.mark.parametrize(
    ("kind", "value", "found"),
    [
        (AddressOrMac, " 192.0.2.1 ", "192.0.2.1"), (AddressOrMac, "FE80::0:1", "fe80::1"),
        (AddressOrMac, 7, "Input should be a valid string"),
        (SourceName, " 192.0.2.1", "192.0.2.1"), (SourceName, "FE80::0:1", "fe80::1"),
        (SourceName, "eth0", "eth0"), (SourceName, "1.2.3", NO_IPV4), (SourceName, "7", NO_IPV4),
        (SourceName, "a b", NO_INTERFACE), (SourceName, "eth0.1", "eth0.1"),
        (SourceName, "é" * 7, "é" * 7), (SourceName, "é" * 8, NO_INTERFACE),
        (WebAddress, "http://pi:80/x", "http://pi:80/x"), (WebAddress, "https://pi", "https://pi"),
        (WebAddress, "ftp://pi/", NO_URL), (WebAddress, "http:///x", NO_URL),
        (WebAddress, "http://pi/\x07", NO_URL), (WebAddress, "pi:80", NO_URL),
        (WebAddress, "http://pi:0/", "port 0 cannot be reached"),
        (WebAddress, "http://pi:65536/", "Port out of range 0-65535"),
        (FilePath, "a/b", Path("a/b")), (FilePath, Path("a"), Path("a")),
        (FilePath, "", "no file; give the path of one"),
        (FilePath, " ", "no file; give the path of one"),
        (FilePath, 7, "no file; give the path of one"),
        (FolderPath, "a\0b", "no folder; give the path of one"),
        (FolderPath, "~/x", "'~' is a home to shells alone; give the whole path"),
        (FolderPath, "x~", Path("x~")),
        (Annotated[int | float, either("one number")], "x", "write one number"),
        (Annotated[int | float, either("one number")], "7", 7),
    ],
)  # fmt: skip
def test_what_is_written_becomes_what_it_means(kind: Any, value: object, found: object) -> None:
    """Or says in one sentence how it is written."""
    assert outcome(kind, value) == found


def test_a_name_can_be_seen() -> None:
    """Nothing in it moves the cursor; other schemes are named in their order."""
    assert printable(" Küche ") == " Küche "
    for text in ("", "  ", "a\tb", "a\u200b"):
        with pytest.raises(ValueError, match=f"^{UNSEEN}$"):
            printable(text)
    assert web_address("redis://pi", ("redis", "rediss")) == "redis://pi"
    with pytest.raises(ValueError, match=r"^no redis or rediss address: .* redis://HOST:PORT/$"):
        web_address("http://pi", ("redis", "rediss"))


@pytest.mark.parametrize(
    ("text", "host", "port", "shown"),
    [
        ("pi", "pi", 53, "pi:53"), ("pi:1", "pi", 1, "pi:1"), ("pi:65535", "pi", 65535, "pi:65535"),
        ("[::1]", "::1", 53, "[::1]:53"), ("::1", "::1", 53, "[::1]:53"),
        ("[fe80::1%eth0]:7", "fe80::1%eth0", 7, "[fe80::1%eth0]:7"),
    ],
)  # fmt: skip
def test_an_endpoint_has_a_host_and_perhaps_a_port(
    text: str, host: str, port: int, shown: str
) -> None:
    """Else the usual one; shown as URLs have it."""
    assert endpoint(text, 53) == Endpoint(host, port)
    assert str(endpoint(text, 53)) == shown


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("pi:0", "^no port: 0; give 1 to 65535$"),
        ("pi:65536", "^no port: 65536; give 1 to 65535$"),
        ("a b:7", "^no host name"), ("http://pi", "^give the host alone, without a scheme"),
    ],
)  # fmt: skip
def test_what_is_no_endpoint_says_what_to_write(text: str, words: str) -> None:
    """Host and port each for themselves."""
    with pytest.raises(ValueError, match=words):
        endpoint(text, 53)


def test_a_remedy_names_keys_as_they_are_written() -> None:
    """Of a broker by its table; of a server by its address, which is host and port at once."""
    assert Keys.of_broker("a.b") == Keys("a.b.host", "a.b.port", "a.b.tls_ca", "broker")
    assert Keys.of_url("a.url", "a.ca") == Keys("a.url", "a.url", "a.ca", "server")
