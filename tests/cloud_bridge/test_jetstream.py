"""Rows to a stream of NATS JetStream: real servers that refuse, die, and know their duplicates."""

from __future__ import annotations

import gc
import json
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from nats.errors import ConnectionClosedError
from nats.js.api import RetentionPolicy
from tests.cloud_bridge.cloudworld import START
from tests.cloud_bridge.natsworld import NatsServer, asked, cluster, rows, seconds_in, sink
from tests.common.test_unreachable import authority, signed
from tests.conftest import wait_for

from monitorpi_cli.stack.broker import free_port
from monitorpi_cloud_bridge.items import OutboxRow
from monitorpi_cloud_bridge.sinks import jetstream, natsdial
from monitorpi_cloud_bridge.sinks.destination import UploadDestination
from monitorpi_cloud_bridge.sinks.jetstream import JetStream
from monitorpi_cloud_bridge.sinks.outbox import RowOutbox
from monitorpi_cloud_bridge.sinks.quota import YearlyQuota
from monitorpi_cloud_bridge.sinks.rowjson import RowForm
from monitorpi_cloud_bridge.sinks.sink import UploadVerdict
from monitorpi_cloud_bridge.sinks.uploader import Uploader
from monitorpi_common.log import Log

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

INFO = b'INFO {"server_id":"x","version":"2.9.10","max_payload":1000}\r\n'
"""What a server says first; this one wants no TLS."""
SUBJECT = "monitorpi-rows.lab.traffic"


pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"
)  # the client leaves the socket of a connection that failed to the collector of garbage


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """Let it be collected here, and not at somebody else's."""
    yield
    gc.collect()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    """Run one."""
    one = NatsServer(tmp_path / "nats")
    one.start()
    yield one
    one.kill()


def stored(*ports: int) -> list[int]:
    """Return the rows in the stream, from the start."""
    return [second - START for second in seconds_in(ports)]


def uploads(folder: Path, one: JetStream) -> tuple[Uploader, UploadDestination, RowOutbox]:
    """Return an uploader with an empty outbox."""
    outbox = RowOutbox(folder / "outbox.sqlite")
    destination = UploadDestination("nats/traffic", one, counts_for_quota=False)
    quota, log = YearlyQuota(10**6), Log("test")
    return (
        Uploader(outbox, destination, quota, log, wall=lambda: START + 600.0),
        destination,
        outbox,
    )


# --- what is stored -------------------------------------------------------------------------------


def test_a_stream_is_made_and_each_row_is_a_message_with_an_id(server: NatsServer) -> None:
    """Numbers by their names; what comes again is stored once, also behind a restart."""
    one = sink(server.port, keep_days=2)
    body = one.prepare(
        [*rows(0, 3), OutboxRow("nats/traffic", START + 3, {"status": "OPEN \u00fc"})]
    )

    assert one.send(body).verdict is UploadVerdict.STORED
    server.kill()
    server.start()
    assert sink(server.port).send(body).verdict is UploadVerdict.STORED

    async def look(stream: Any) -> tuple[Any, Any]:
        info = await stream.stream_info("monitorpi-rows")
        return info.config, await stream.get_msg("monitorpi-rows", 1)

    config, first = asked([server.port], look)
    assert stored(server.port) == [0, 1, 2, 3]
    assert (config.subjects, config.max_age, config.duplicate_window) == (
        ["monitorpi-rows.>"], 2 * 86_400.0, 600.0)  # fmt: skip
    assert (first.subject, first.headers["Nats-Msg-Id"]) == (SUBJECT, f"lab/traffic/{START}")
    assert json.loads(first.data) == {
        "id": f"lab/traffic/{START}",
        "second": START,
        "values": {"SYN": 0.0, "broadcast": 0.5},
    }


def test_which_rows_are_there_is_looked_up(server: NatsServer) -> None:
    """By their ids, behind any time; rows of another channel are not taken for ours."""
    start = int(time.time()) - 10  # the server's clock is this machine's
    one = sink(server.port)
    assert one.verify([start]) == set()
    one.send(one.prepare(rows(0, 3, start)))
    one.send(one.prepare(rows(5, 1, start)))
    subject, form = "monitorpi-rows.lab.health", RowForm("lab/health", {})
    other = JetStream(one._dialler._account, one._plan, subject, form, 0.0)
    other.send(other.prepare(rows(4, 1, start)))

    asked_for = [start + n for n in range(7)]
    assert one.verify(asked_for) == {start + n for n in (0, 1, 2, 5)}
    assert other.verify(asked_for) == {start + 4}


def test_a_stream_that_takes_the_subject_is_used(server: NatsServer) -> None:
    """As it is; one that keeps rows for its consumers alone is no place for them without any."""

    async def make(stream: Any) -> None:
        kept = RetentionPolicy.INTEREST
        await stream.add_stream(name="mine", subjects=["monitorpi-rows.lab.*"], retention=kept)

    asked([server.port], make)
    one = sink(server.port)

    sent = one.send(one.prepare(rows(0, 2)))
    assert sent.verdict is UploadVerdict.LATER
    assert sent.text == "stream mine keeps rows for its consumers alone, and has none"

    async def read(stream: Any) -> None:
        await stream.subscribe(SUBJECT, durable="reader", stream="mine")

    asked([server.port], read)
    assert one.send(one.prepare(rows(0, 2))).verdict is UploadVerdict.STORED


def test_none_is_lost_or_doubled_when_the_server_dies(
    server: NatsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is killed before, under and behind calls; an answer that is lost is looked up."""
    one = sink(server.port)
    uploader, destination, outbox = uploads(tmp_path, one)
    publish = one._publish
    for number in range(6):
        outbox.add(rows(40 * number, 40), {})
        if number % 3 == 1:
            server.kill()
            destination.next_call_s = 0.0
            uploader.step()
            assert "nobody listens there: start the server" in destination.last_answer
            server.start()
        if number % 3 == 2:

            async def dies(stream: Any, line: bytes) -> None:
                await publish(stream, line)
                server.kill()
                raise ConnectionClosedError

            monkeypatch.setattr(one, "_publish", dies)
            destination.next_call_s = 0.0
            uploader.step()
            assert "it hung up" in destination.last_answer
            monkeypatch.setattr(one, "_publish", publish)
            server.start()

        def done(rows: int = 40 * (number + 1)) -> bool:
            destination.next_call_s = 0.0
            uploader.step()
            return sorted(stored(server.port)) == list(range(rows))

        wait_for(done, 60)

    assert sorted(stored(server.port)) == list(range(240))
    assert destination.dead_lettered_total == 0
    outbox.close()


@pytest.mark.timeout(300)
def test_a_cluster_of_three_whose_leader_dies(tmp_path: Path) -> None:
    """Another server takes over; each row is there once."""
    servers = cluster(tmp_path)
    for one in servers:
        one.start()
    ports = [one.port for one in servers]
    uploader, destination, outbox = uploads(tmp_path, sink(*ports, replicas=3))

    async def leader(stream: Any) -> str:
        return str((await stream.stream_info("monitorpi-rows")).cluster.leader)

    def done(most: int) -> bool:
        destination.next_call_s = 0.0
        uploader.step()
        return destination.stored_total > most

    try:
        outbox.add(rows(0, 100), {})
        wait_for(lambda: done(99), 120, "the cluster")
        dead = servers[int(asked(ports, leader)[1:])]
        outbox.add(rows(100, 100), {})
        dead.kill()
        wait_for(lambda: done(199), 120, "the next leader")
        left = [port for port in ports if port != dead.port]
        assert sorted(stored(*left)) == list(range(200))
        assert asked(left, leader) != f"n{servers.index(dead)}"
    finally:
        for one in servers:
            one.kill()
        outbox.close()


# --- the way there --------------------------------------------------------------------------------


def test_the_next_server_is_tried_and_the_one_that_answered_comes_first(
    server: NatsServer,
) -> None:
    """Where none answers each is named with its cause."""
    gone = free_port()
    one = sink(gone, server.port)

    assert one.send(one.prepare(rows(0, 1))).verdict is UploadVerdict.STORED
    assert [server.port for server in one._dialler._servers] == [server.port, gone]
    server.kill()
    sent = one.send(one.prepare(rows(1, 1)))
    server.start()

    assert sent.verdict is UploadVerdict.UNREACHED
    nobody = "nobody listens there: start the server, or check cloud-bridge.nats.servers"
    assert sent.text == f"127.0.0.1:{server.port}: {nobody}; 127.0.0.1:{gone}: {nobody}"


@pytest.mark.parametrize(
    ("by", "address", "days", "said"),
    [
        ("ours", "127.0.0.1", "2", None),
        ("theirs", "127.0.0.1", "2", "its certificate is not by the authority in"),
        ("ours", "127.0.0.2", "2", "its certificate is not for '127.0.0.1'"),
        ("ours", "127.0.0.1", "-1", "its certificate is not valid at this time"),
    ],
)
def test_tls(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, by: str, address: str, days: str,
    said: str | None,
) -> None:  # fmt: skip
    """Each cause by its name; nothing was sent, and nothing else was printed."""
    folders = {name: tmp_path / name for name in ("ours", "theirs")}
    found = {}
    for name, folder in folders.items():
        folder.mkdir()
        found[name] = authority(folder, name)
    cert, key = signed(tmp_path, found[by], address, days)
    one = NatsServer(tmp_path / "nats", f'tls {{ cert_file: "{cert}", key_file: "{key}" }}')
    one.start()
    try:
        to = sink(one.port, tls=True, tls_ca=found["ours"][0])
        sent = to.send(to.prepare(rows(0, 1)))
    finally:
        one.kill()

    assert caplog.records == []
    if said is None:
        assert sent.verdict is UploadVerdict.STORED
    else:
        assert (sent.verdict, said in sent.text) == (UploadVerdict.UNREACHED, True), sent.text


def test_no_password_goes_to_a_server_that_wants_no_tls(tmp_path: Path) -> None:
    """Whoever stands in its place says so, and is sent what comes after."""
    ca, _ = authority(tmp_path, "ours")
    got: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as there:

        def serve() -> None:
            line, _ = there.accept()
            with line:
                line.sendall(INFO)
                line.settimeout(5)
                got.append(line.recv(4096))

        serving = threading.Thread(target=serve, daemon=True)
        serving.start()
        to = sink(there.getsockname()[1], tls=True, tls_ca=ca, password="secret")
        sent = to.send(to.prepare(rows(0, 1)))
        serving.join(10)

    assert got == [b""]
    assert sent.verdict is UploadVerdict.UNREACHED
    assert "it wants no TLS: check it, or set cloud-bridge.nats.tls to false" in sent.text


def test_a_look_that_takes_too_long_leaves_rows_in_doubt(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many messages are in the stream."""
    start = int(time.time()) - 10  # the server's clock is this machine's
    one = sink(server.port)
    one.send(one.prepare(rows(0, 3, start)))
    monkeypatch.setattr(jetstream, "LOOK_S", 0.0)

    assert one.verify([start]) is None


def test_what_a_server_says_is_one_short_line() -> None:
    """Any server may answer, and logs are kept."""
    said = natsdial.as_said("a\r\nb" + "x" * 10_000)

    assert said.startswith("a bx")
    assert len(said) == natsdial.MOST_SAID


def test_a_server_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It costs a short while."""
    monkeypatch.setattr(natsdial, "CONNECT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as there:
        to = sink(there.getsockname()[1])
        sent = to.send(to.prepare(rows(0, 1)))

    assert sent.verdict is UploadVerdict.UNREACHED
    assert "no answer: check cloud-bridge.nats.servers" in sent.text
