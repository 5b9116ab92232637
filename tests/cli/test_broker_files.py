"""The broker's files and ports: made once, private, refused in one line."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from monitorpi_cli.doctor.ports import check_broker_port
from monitorpi_cli.stack import broker as broker_files
from monitorpi_cli.stack import state
from monitorpi_cli.stack.broker import USERS
from monitorpi_common.service import ResourceError
from monitorpi_common.settings import BrokerSettings, ConfigurationError

if TYPE_CHECKING:
    from tests.conftest import Broker


# --- the files ------------------------------------------------------------------------------------


def test_passwords_are_made_once_and_private(tmp_path: Path) -> None:
    """A second start keeps the passwords; nobody else can read them."""
    first = broker_files.ensure_passwords(tmp_path / "secrets")
    second = broker_files.ensure_passwords(tmp_path / "secrets")

    assert first == second
    assert len(set(first.values())) == len(USERS)
    for file in (tmp_path / "secrets").rglob("broker__password"):
        assert file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("left", [b"", b"\n", b"\0" * 33, b"\xff\xfe"])
def test_a_password_that_a_power_cut_left_empty_is_made_anew(tmp_path: Path, left: bytes) -> None:
    """A file of nothing is no password: the stack starts, and does not wait for somebody to look.

    Which nothing it is depends on the file system.
    """
    first = broker_files.ensure_passwords(tmp_path / "secrets")
    (tmp_path / "secrets" / "capture" / "broker__password").write_bytes(left)

    second = broker_files.ensure_passwords(tmp_path / "secrets")

    assert second["capture"] not in ("", first["capture"])
    assert second["capture"].isprintable()
    assert {**first, "capture": second["capture"]} == second


def test_a_password_that_no_file_of_mosquittos_can_hold_is_one_line(tmp_path: Path) -> None:
    """It would never work, and must not be replaced in silence."""
    broker_files.ensure_passwords(tmp_path)
    (tmp_path / "viewer" / "broker__password").write_text("with:colon")

    with pytest.raises(ConfigurationError, match="can hold no ':'; write another one"):
        broker_files.ensure_passwords(tmp_path)


def test_root_follows_no_link_that_the_brokers_account_left() -> None:
    """A broker taken over by an attacker cannot have another start give it files of root's."""
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    with tempfile.TemporaryDirectory() as name:
        state = Path(name)
        state.chmod(0o755)  # as /var/lib/monitorpi is
        treasure = state / "treasure"
        treasure.write_text("root's own")
        passwords = broker_files.ensure_passwords(state / "secrets")
        config = broker_files.write_files(state / "broker", ["1883 127.0.0.1"], passwords)
        account = config.stat()
        assert account.st_uid != 0
        for link in ("x", "passwords.new", "acl.draft"):
            (config.parent / link).symlink_to(treasure)
        os.chown(config.parent, account.st_uid, account.st_gid)  # as earlier versions left it

        config = broker_files.write_files(state / "broker", ["1883 127.0.0.1"], passwords)

        assert treasure.read_text() == "root's own"
        assert treasure.stat().st_uid == 0
        assert config.stat().st_uid == account.st_uid
        assert (config.parent.stat().st_uid, config.parent.stat().st_mode & 0o777) == (0, 0o750)


def test_a_free_port_is_none_that_a_connection_gets() -> None:
    """It can be listened on, and lies below what the kernel gives to outgoing connections."""
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text("ascii").split()[0])

    port = broker_files.free_port()

    assert broker_files.port_is_free(port)
    assert port < first


@pytest.mark.parametrize("first", [1, 1024, 1025])
def test_a_free_port_is_never_one_that_only_root_may_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    """The broker runs as an account of its own, also where connections may have nearly all."""
    (tmp_path / "range").write_text(f"{first}\t65535\n")
    monkeypatch.setattr(broker_files, "_CONNECTIONS", tmp_path / "range")

    assert min(broker_files.free_port() for _ in range(50)) >= 1024


def test_a_configured_port_that_is_taken_is_refused(broker: Broker) -> None:
    """Somebody who asked for a port gets that port or a clear line."""
    with pytest.raises(ResourceError, match=f"port {broker.port} is taken"):
        broker_files.choose_port(broker.port)


def test_without_room_for_hashing_nobody_is_locked_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a full /tmp Mosquitto's program leaves no users and no word; doctor says it too."""
    (tmp_path / "full").write_text("")
    monkeypatch.setattr(state, "TEMPORARY", tmp_path / "full")
    passwords = broker_files.ensure_passwords(tmp_path / "secrets")

    with pytest.raises(ResourceError) as caught:
        broker_files.write_files(tmp_path / "broker", ["1883 127.0.0.1"], passwords)
    found = check_broker_port(BrokerSettings())

    assert str(caught.value) == (
        f"passwords cannot be hashed: {tmp_path}/full is no folder: let it be written"
    )
    assert (found.mark, str(found)) == ("wrong", f"broker: {caught.value}")
