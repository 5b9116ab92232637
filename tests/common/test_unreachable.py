"""A broker that cannot be used: the cause is said in words, by name and with the remedy."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr
from tests.conftest import Broker, wait_for

from monitorpi_cli.stack.broker import free_port
from monitorpi_common.bus import BusEvent, Connected, Report
from monitorpi_common.endpoint import unreachable
from monitorpi_common.inbox import Inbox
from monitorpi_common.log import Log
from monitorpi_common.mqtt import MqttBus
from monitorpi_common.settings import BrokerSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


# paho drops the socket of a handshake that failed without closing it; the interpreter does
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*unclosed <ssl:pytest.PytestUnraisableExceptionWarning",
    "ignore:unclosed <ssl:ResourceWarning",
)


def first_failure(**settings: object) -> str:
    """Connect with these settings and return the first thing that is said to have failed."""
    inbox = Inbox()
    bus = MqttBus(BrokerSettings.model_validate(settings), "test", None, Log("test"))
    bus.open(inbox, [])

    def failed() -> Report | None:
        item = inbox.take(0.05)
        report = bus.event(item) if isinstance(item, BusEvent) else None
        return report if report is not None and report.failed else None

    try:
        report: Report = wait_for(failed, what="a report of the failure")
    finally:
        bus.close()
    return report.text


@pytest.fixture
def answers() -> Iterator[Callable[[bytes], int]]:
    """Serve TCP connections that get these bytes after their first and are then closed."""
    listeners: list[socket.socket] = []

    def start(reply: bytes) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        threading.Thread(target=_serve, args=(listener, reply), daemon=True).start()
        return int(listener.getsockname()[1])

    yield start
    for listener in listeners:
        listener.close()


def _serve(listener: socket.socket, reply: bytes) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            connection.recv(4096)
            connection.sendall(reply)


def authority(folder: Path, name: str) -> tuple[str, str]:
    """Make a certificate authority; return the files of its certificate and its key."""
    cert, key = str(folder / f"{name}.pem"), str(folder / f"{name}.key")
    _openssl(
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-days", "2", "-subj", f"/CN={name}", "-keyout", key, "-out", cert,
    )  # fmt: skip
    return cert, key


def signed(folder: Path, by: tuple[str, str], address: str, days: str) -> tuple[str, str]:
    """Make a server's certificate for an address; negative days: it has expired."""
    cert, key, asked = (str(folder / f"server.{end}") for end in ("pem", "key", "csr"))
    _openssl(
        "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-subj", "/CN=broker", "-keyout", key, "-out", asked,
    )  # fmt: skip
    names = folder / "names"
    names.write_text(f"subjectAltName=IP:{address}\n")
    _openssl(
        "x509", "-req", "-in", asked, "-CA", by[0], "-CAkey", by[1], "-CAcreateserial",
        "-days", days, "-extfile", str(names), "-out", cert,
    )  # fmt: skip
    return cert, key


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Return the authority that our broker's certificates are by."""
    return authority(tmp_path_factory.mktemp("authority"), "ours")


@pytest.fixture
def secure(tmp_path: Path, ours: tuple[str, str]) -> Iterator[Callable[..., int]]:
    """Start a Mosquitto with TLS and a certificate for an address; return its port."""
    started: list[Broker] = []

    def start(address: str = "127.0.0.1", days: str = "2") -> int:
        cert, key = signed(tmp_path, ours, address, days)
        settings = f"allow_anonymous true\ncertfile {cert}\nkeyfile {key}"
        started.append(Broker(tmp_path, settings=settings))
        started[0].start()
        return started[0].port

    yield start
    for broker in started:
        broker.kill()


def test_a_name_that_does_not_resolve() -> None:
    """The name is said, and where to look."""
    text = first_failure(host="no-such-host.invalid")

    assert "broker at no-such-host.invalid:1883: the name" in text
    assert "does not resolve: check broker.host" in text


def test_an_address_on_an_interface_that_is_not_there() -> None:
    """No name server knows of it."""
    text = first_failure(host="fe80::1%eth9")

    assert "broker at [fe80::1%eth9]:1883: this machine has no interface 'eth9'" in text
    assert "check broker.host" in text


def test_nobody_listens() -> None:
    """Host and port are said."""
    port = free_port()

    text = first_failure(port=port)

    assert f"no connection to the broker at 127.0.0.1:{port}: nobody listens there" in text


def test_a_certificate_that_has_expired(secure: Callable[..., int], ours: tuple[str, str]) -> None:
    """Either it is old or our clock is wrong."""
    text = first_failure(port=secure(days="-1"), tls_ca=ours[0])

    assert "its certificate is not valid at this time: renew it, or set this machine's" in text


def test_a_certificate_for_another_name(secure: Callable[..., int], ours: tuple[str, str]) -> None:
    """The address that was asked for is not in it."""
    text = first_failure(port=secure(address="192.0.2.1"), tls_ca=ours[0])

    assert "its certificate is not for '127.0.0.1': write the name in it as broker.host" in text


def test_a_certificate_by_somebody_else(secure: Callable[..., int], tmp_path: Path) -> None:
    """The authority that was configured did not sign it."""
    other = authority(tmp_path, "other")

    text = first_failure(port=secure(), tls_ca=other[0])

    assert "its certificate is not by the authority in broker.tls_ca" in text


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (2, "is not by the authority in broker.tls_ca: give the one that signed"),
        (9, "is not valid at this time"),
        (10, "is not valid at this time"),
        (18, "is not by the authority"),
        (19, "is not by the authority"),
        (20, "is not by the authority"),
        (21, "is not by the authority"),
        (23, "is not accepted (revoked): give it another one"),
        (62, "is not for 'pi.lan': write the name in it as broker.host"),
        (64, "is not for 'pi.lan'"),
    ],
)
def test_each_reason_against_a_certificate_has_its_remedy(code: int, text: str) -> None:
    """By OpenSSL's number for it (x509_vfy.h)."""
    error = ssl.SSLCertVerificationError()
    error.verify_code, error.verify_message = code, "revoked"

    assert f"its certificate {text}" in unreachable(error, "pi.lan", tls=True)


def tls_failure(kind: type[ssl.SSLError], reason: str) -> ssl.SSLError:
    """Return what a handshake fails with."""
    error = kind(1, "some words")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("error", "tls", "text"),
    [
        (socket.gaierror(), False,
         "the name 'pi' does not resolve: check broker.host and the name server"),
        (ConnectionRefusedError(), False,
         "nobody listens there: start the broker, or check broker.host and broker.port"),
        (TimeoutError(), False,
         "no answer: check broker.host, the network and firewalls between"),
        (ConnectionResetError(), False,
         "it hung up: check broker.port, and whether it wants TLS"),
        (ConnectionAbortedError(), True,
         "it hung up during the TLS handshake: check broker.port, and whether it wants less"),
        (EOFError(), False, "it hung up: check broker.port, and whether it wants TLS"),
        (OSError(113, "No route to host"), False,
         "no route to host: check broker.host and this machine's network"),
        (OSError("odd"), False, "odd"), (ValueError(), False, "ValueError"),
        (tls_failure(ssl.SSLError, "RECORD_LAYER_FAILURE"), True,
         "it speaks no TLS on this port: check broker.port, or leave broker.tls_ca out"),
        (tls_failure(ssl.SSLError, "TLSV1_ALERT_PROTOCOL_VERSION"), True,
         "it speaks no TLS of 1.2 or newer: renew the broker"),
        (tls_failure(ssl.SSLEOFError, "UNEXPECTED_EOF"), True,
         "it hung up during the TLS handshake: check broker.port, and whether it wants less"),
        (tls_failure(ssl.SSLError, "ODD"), True, "TLS failed (ODD): the broker's log says more"),
        (tls_failure(ssl.SSLError, ""), True,
         "TLS failed (some words): the broker's log says more"),
    ],
)  # fmt: skip
def test_each_failure_to_connect_has_its_remedy(error: BaseException, tls: bool, text: str) -> None:
    """With the settings' own names; where nothing is known, with the error's words."""
    assert unreachable(error, "pi", tls=tls) == text


def test_a_plain_port_where_tls_was_wanted(broker: Broker, ours: tuple[str, str]) -> None:
    """A broker without TLS hangs up or answers in plain text."""
    text = first_failure(port=broker.port, tls_ca=ours[0])

    assert "TLS" in text
    assert "check broker.port" in text


def test_what_is_no_broker_with_tls(answers: Callable[[bytes], int], ours: tuple[str, str]) -> None:
    """Any plain text instead of a handshake."""
    text = first_failure(port=answers(b"HTTP/1.1 400 Bad Request\r\n\r\n"), tls_ca=ours[0])

    assert "it speaks no TLS on this port: check broker.port, or leave broker.tls_ca out" in text


@pytest.mark.parametrize(
    "reply", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", bytes(200)]
)
def test_what_is_no_broker_without_tls(answers: Callable[[bytes], int], reply: bytes) -> None:
    """It takes the connection and hangs up, or says something else: that is said too."""
    port = answers(reply)

    text = first_failure(port=port)

    assert text.startswith(f"no connection to the broker at 127.0.0.1:{port}: it does not answer")
    assert "check broker.port, whether it wants TLS, and its log" in text


def test_a_broker_that_is_frozen() -> None:
    """The kernel takes the connection for it; nobody reads."""
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        text = first_failure(port=frozen.getsockname()[1], keepalive_s=5)

    assert "it does not answer as a broker does (Keep alive timeout)" in text


def test_a_broker_without_mqtt_5(answers: Callable[[bytes], int]) -> None:
    """It says so with the return code of MQTT 3.1.1; the password is not blamed."""
    text = first_failure(port=answers(bytes((0x20, 2, 0, 1))), username="a", password="b")

    assert "Unsupported protocol version): it speaks no MQTT 5" in text
    assert "password" not in text


def test_a_wrong_password(tmp_path: Path) -> None:
    """Only a refusal of the account blames the account."""
    passwords = tmp_path / "passwords"
    passwords.write_text("somebody:right\n")
    subprocess.run(["mosquitto_passwd", "-U", passwords], check=True, capture_output=True)
    broker = Broker(tmp_path, settings=f"allow_anonymous false\npassword_file {passwords}")
    broker.start()
    try:
        text = first_failure(port=broker.port, username="somebody", password=SecretStr("wrong"))
    finally:
        broker.kill()

    assert text.endswith("check broker.username and its password")


def test_a_broker_that_wants_a_certificate_of_ours(tmp_path: Path, ours: tuple[str, str]) -> None:
    """We have none to show, and say so."""
    cert, key = signed(tmp_path, ours, "127.0.0.1", "2")
    lines = [f"certfile {cert}", f"keyfile {key}", f"cafile {ours[0]}", "require_certificate true"]
    broker = Broker(tmp_path, settings="\n".join(["allow_anonymous true", *lines]))
    broker.start()
    try:
        text = first_failure(port=broker.port, tls_ca=ours[0])
    finally:
        broker.kill()

    assert "whether it wants a certificate of its clients (we have none)" in text


def test_a_broker_with_old_tls_alone(tmp_path: Path, ours: tuple[str, str]) -> None:
    """TLS 1.0 is refused on both sides today."""
    cert, key = signed(tmp_path, ours, "127.0.0.1", "2")
    port = str(free_port())
    server = subprocess.Popen(
        ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", cert, "-key", key,
         "-tls1", "-cipher", "DEFAULT:@SECLEVEL=0", "-quiet"],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for(lambda: _listens(int(port)), what="the server")
        text = first_failure(port=int(port), tls_ca=ours[0])
    finally:
        server.kill()
        server.communicate()

    assert "it speaks no TLS of 1.2 or newer" in text


def _listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def test_a_good_certificate_connects(secure: Callable[..., int], ours: tuple[str, str]) -> None:
    """The control: with the right authority, name and time there is a connection."""
    inbox = Inbox()
    settings = BrokerSettings.model_validate({"port": secure(), "tls_ca": ours[0]})
    bus = MqttBus(settings, "test", None, Log("test"))
    bus.open(inbox, [])

    wait_for(lambda: isinstance(inbox.take(0.05), Connected), what="a connection")

    bus.close()
