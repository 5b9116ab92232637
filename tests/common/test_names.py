"""Names and values that others give: hosts, authorities, client ids, numbers, lines of a log."""

from __future__ import annotations

import logging
import os
import socket
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from monitorpi_common.clientid import client_id
from monitorpi_common.endpoint import authority_file, host_name, names_this_machine
from monitorpi_common.log import Log
from monitorpi_common.messages import Evidence
from monitorpi_common.written import InterfaceName

LONG = ".".join(["a" * 63] * 3 + ["b" * 61])
"""A host name of 253 characters."""


@pytest.mark.parametrize(
    "text", ["pi", "pi.local", "pi.local.", "192.0.2.1", "::1", "bücher.example", "my_pi", LONG]
)
def test_a_host_is_a_name_or_an_address(text: str) -> None:
    """As it is written; an IPv6 address may have its brackets."""
    assert host_name(text) == text
    assert host_name("[::1]") == "::1"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("pi:1883", "the port is a key of its own: port = 1883"),
        ("[::1]:1883", "give the host alone, '::1'"),
        ("1.2.3", "IPv4 has four numbers"), ("256.1.1.1", "IPv4 has four numbers"),
        ("12345", "IPv4 has four numbers"), ("", "no host name"), ("a b", "no host name"),
        ("http://pi", "without a scheme"), (LONG + "b", "no host name"),
        ("a" * 64 + ".b", "no host name"), (".", "no host name"),
    ],
)  # fmt: skip
def test_what_is_no_host_says_what_to_write(text: str, words: str) -> None:
    """In one sentence."""
    with pytest.raises(ValueError, match=words.replace("(", r"\(")):
        host_name(text)


@pytest.mark.parametrize(
    ("host", "answer"),
    [
        ("localhost", True), ("LOCALHOST:80", True), ("192.0.2.1:80", True), ("[::1]", True),
        ("[::1]:80", True), ("Attic:80", True), ("attic.example", False), (None, False),
        ("", False), ("[fe80::1", False), (socket.gethostname(), True),
        (f"{socket.gethostname()}.local:1", True), ("::1", False),
    ],
)  # fmt: skip
def test_by_which_hosts_this_machine_is_named(host: str | None, answer: bool) -> None:
    """Any address, its own name, and those it is known by."""
    assert names_this_machine(host, ["ATTIC"]) is answer


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("eth0", True), ("eth0.100", True), ("br-lan", True), ("x" * 15, True),
        ("x" * 16, False), ("", False), ("a b", False), ("a/b", False), ("a:1", False),
        (".", False), ("..", False), ("eth\x7f0", False), ("eth\u200b0", False),
    ],
)  # fmt: skip
def test_what_linux_takes_as_the_name_of_an_interface(text: str, is_one: bool) -> None:
    """And what can be seen."""
    adapter = TypeAdapter(InterfaceName)
    if is_one:
        assert adapter.validate_python(text) == text
    else:
        with pytest.raises(ValidationError, match="no name of an interface"):
            adapter.validate_python(text)


@pytest.mark.parametrize("over", [0, 1])
def test_a_file_of_authorities_is_read_so_far(
    tmp_path: Path, certificate: tuple[str, str], over: int
) -> None:
    """Eight megabytes: all authorities there are take less than one."""
    pem, file = Path(certificate[0]).read_bytes().strip(), tmp_path / "large.pem"
    file.write_bytes(b"\n" * (8 * 1024 * 1024 - len(pem) + over) + pem)

    with pytest.raises(ValueError, match="no usable certificate") if over else nullcontext():
        assert authority_file(file) == file


def test_a_file_of_authorities_can_be_used_or_says_why(
    tmp_path: Path, certificate: tuple[str, str]
) -> None:
    """A folder, a device, one that is missing, one that is none."""
    good = tmp_path / "good.pem"
    good.write_bytes(Path(certificate[0]).read_bytes())
    assert authority_file(good) == good
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nxx\n-----END CERTIFICATE-----\n")
    (tmp_path / "none.pem").write_text("hello")
    os.mkfifo(tmp_path / "pipe")
    for name, words in (
        ("pipe", "no file; give"),
        (".", "a folder; give"), ("missing", "cannot be read"), ("none.pem", "openssl x509"),
        ("broken.pem", "no usable certificate"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            authority_file(tmp_path / name)


def test_a_client_id_has_sixteen_digits_that_the_password_keys() -> None:
    """The same over restarts; another for each name and password; none without."""
    one = client_id("capture-main", "secret")

    assert one == client_id("capture-main", "secret")
    assert one.startswith("capture-main-")
    assert len(one) == len("capture-main-") + 16
    assert len({one, client_id("capture-main", "x"), client_id("prober-main", "secret")}) == 3
    assert client_id("capture-main", None) == client_id("capture-main", "") == "capture-main"


@pytest.mark.parametrize(
    ("value", "is_one"),
    [(0, True), (1e30, True), (-0.1, False), (1.1e30, False), (float("inf"), False),
     (float("nan"), False)],
)  # fmt: skip
def test_a_quantity_is_a_number_that_somebody_can_have_measured(value: Any, is_one: bool) -> None:
    """Neither below nought nor beyond all, nor none."""
    if is_one:
        assert Evidence(value=value, threshold=1, window_s=1, peak=1).value == value
    else:
        with pytest.raises(ValidationError):
            Evidence(value=value, threshold=1, window_s=1, peak=1)


def test_a_log_is_written_once() -> None:
    """Whatever else in a process writes what all loggers say."""
    heard: list[logging.LogRecord] = []

    class Root(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record)

    root = Root()
    logging.getLogger().addHandler(root)
    try:
        Log("once").info("hello")
        logging.getLogger("other").warning("hello")
    finally:
        logging.getLogger().removeHandler(root)

    assert [record.name for record in heard] == ["other"]


def test_each_message_of_a_log_has_its_minute(capsys: pytest.CaptureFixture[str]) -> None:
    """Twenty of one event at once; what was left out is counted once, and forgotten."""
    log = Log("test-names")
    now_s = 0.0
    log._clock = lambda: now_s

    def written(event: str, at_s: float, *values: object) -> list[str]:
        nonlocal now_s
        now_s = at_s
        for value in values:
            log.warning(event, value=value)
        lines = capsys.readouterr().err.splitlines()
        return [line.partition(f"event={event} ")[2] for line in lines]

    assert written("a", 0.0, 1, 1, 1) == ["value=1"]
    assert written("a", 59.9, 1) == []
    assert written("a", 60.0, 1) == ["value=1 repeated=3"]
    assert written("a", 120.0, 1) == ["value=1"]
    assert len(written("b", 0.0, *range(25))) == 20
    assert written("b", 59.9, 99) == []
    assert written("b", 60.0, 99) == ["value=99 others=6"]
    assert written("b", 60.0, 98) == ["value=98"]
    for number in range(300):
        written(f"event-{number}", 60.0, 1)
    assert len(log._events) <= 256
    assert written("a", 121.0, 1) == ["value=1"]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("plain-1.2:/+@%", "plain-1.2:/+@%"), ("two words", '"two words"'), ("", '""'),
        ('a"b', '"a\\"b"'), ("a\nb", '"a\\nb"'), ("a" * 300, "a" * 300),
        ("a" * 301, "a" * 300 + "..."),
    ],
)  # fmt: skip
def test_a_value_is_one_word_or_one_quoted_string(
    value: str, written: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Cut at three hundred letters; nothing in it ends the line."""
    service = f"names-{len(value)}-{len(value.splitlines())}"  # a logger keeps its first stream

    Log(service).info("x", value=value)

    line = capsys.readouterr().err.rstrip("\n")
    assert line.endswith(f" level=info service={service} event=x value={written}")
