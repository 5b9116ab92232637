"""Who may publish and receive what at the broker, and the files Mosquitto needs for it.

One table (:data:`USERS`) is the source of the access rules everywhere: native runs generate their
files from it, and ``broker/acl`` of the containers is checked against it. Every service writes
under its own name only; a ``pattern`` line would hold for every user, so each user has a section
of its own.
"""

from __future__ import annotations

import errno
import os
import pwd
import secrets
import shutil
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from monitorpi_cli.stack.centre import AUTHORITY
from monitorpi_cli.stack.private import write_private
from monitorpi_common.messages import Service
from monitorpi_common.mqtt import MAX_PACKET_BYTES
from monitorpi_common.plainfile import read_bytes
from monitorpi_common.service import ResourceError
from monitorpi_common.settings import ConfigurationError
from monitorpi_common.settings_files import MAX_SECRET_BYTES

if TYPE_CHECKING:
    from collections.abc import Container

    from monitorpi_cli.stack.centre import Centre

DEFAULT_PORT: Final = 1883
_NEXT_PORTS: Final = 10
"""Tried in order where the default is taken, so that a machine keeps its port over restarts."""
_CONNECTIONS: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_CHOICE: Final = 8192
_UNPRIVILEGED: Final = 1024
"""The least port that Mosquitto's own account may take."""
_TRIES: Final = 1000
_ROOT: Final = "monitorpi/v1/+"
OWN: Final = "broker"
"""The folder of what the broker itself must show elsewhere."""
_SYSTEM_USER: Final = "mosquitto"
_PASSWORD_BYTES: Final = 24
_QUEUE_MESSAGES: Final = 10_000
"""4,096 devices, 1,024 targets, 544 alerts, and minutes of windows."""
_QUEUE_BYTES: Final = 16 * 1024 * 1024  # 32 of the largest messages, minutes of usual windows


@dataclass(frozen=True, slots=True)
class User:
    """One account of the broker: filters it may write, and filters it may read."""

    name: str
    writes: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()

    def acl(self) -> str:
        """Return the user's section of Mosquitto's access file."""
        lines = [f"user {self.name}"]
        lines += [f"topic readwrite {filter_}" for filter_ in self.writes if filter_ in self.reads]
        lines += [f"topic write {filter_}" for filter_ in self.writes if filter_ not in self.reads]
        lines += [f"topic read {filter_}" for filter_ in self.reads if filter_ not in self.writes]
        return "\n".join(lines) + "\n"


def _service(
    service: Service, *reads: str, writes: tuple[str, ...] = (), outside: tuple[str, ...] = ()
) -> User:
    """Build a service's account: its own subtree, and what its work needs.

    Args:
        service: whose account.
        reads: filters below a site.
        writes: whole filters beside its own subtree.
        outside: whole filters that it reads.

    """
    own = f"{_ROOT}/{service.value}/#"
    return User(
        service.value, (own, *writes), (own, *(f"{_ROOT}/{filter_}" for filter_ in reads), *outside)
    )


VIEWER: Final = "viewer"
"""The account that may read all and write nothing."""
HOME: Final = "homeassistant"
"""The account that people give Home Assistant itself."""

USERS: Final = (
    _service(Service.CAPTURE, "prober/target/+"),
    _service(Service.PROBER, "capture/device/+", "capture/status/+"),
    _service(Service.DETECTOR, "capture/#", "prober/#", "+/status/+", "+/health/+"),
    _service(
        Service.CLOUD_BRIDGE,
        "capture/#",
        "prober/#",
        "detector/#",
        writes=tuple(
            f"{_ROOT}/{service.value}/command/+"
            for service in (Service.CAPTURE, Service.PROBER, Service.DETECTOR)
        ),
    ),
    _service(
        Service.HISTORY,
        "capture/traffic/+",
        "capture/device/+",
        "prober/probe/+",
        "prober/target/+",
        "detector/alert/+",
    ),
    _service(
        Service.DASHBOARD,
        "#",
        writes=tuple(
            f"{_ROOT}/{service.value}/command/+"
            for service in (Service.NOTIFIER, Service.DETECTOR, Service.CAPTURE)
        ),
    ),
    _service(Service.NOTIFIER, "detector/#", "capture/device/+", "prober/target/+", "+/status/+"),
    _service(
        Service.HOME_ASSISTANT,
        "capture/wire/+",
        "capture/device/+",
        "prober/target/+",
        "detector/alert/+",
        "+/status/+",
        writes=("homeassistant/device/+/config", f"{_ROOT}/detector/command/+"),
        outside=("homeassistant/status",),
    ),
    User(
        HOME,
        writes=("homeassistant/#", f"{_ROOT}/home-assistant/command/+"),
        reads=("homeassistant/#", "monitorpi/v1/#"),
    ),
    User("operator", writes=(f"{_ROOT}/+/command/#",), reads=("monitorpi/v1/#",)),
    User(VIEWER, reads=("monitorpi/v1/#",)),
)
"""Every account: the services, the operator (who may also give orders) and the viewer."""


def acl() -> str:
    """Return Mosquitto's access file for all users."""
    head = "# Generated by `./monitorpi generate` from the table of users in the command line.\n\n"
    return head + "\n".join(user.acl() for user in USERS)


def configuration(
    listeners: list[str], folder: str, user: str, centre: Centre | None = None
) -> str:
    """Return Mosquitto's configuration.

    Args:
        listeners: ``PORT ADDRESS`` of each listener.
        folder: where the password and access files are.
        user: the system user Mosquitto becomes when started as root.
        centre: a broker of several sites that is told of this one.

    """
    lines = [
        "# Generated by `./monitorpi generate` or `./monitorpi up`.",
        "per_listener_settings false",
        *(f"listener {listener}" for listener in listeners),
        f"user {user}",
        "allow_anonymous false",
        f"password_file {folder}/passwords",
        f"acl_file {folder}/acl",
        "# services publish their state again whenever they connect: nothing needs the SD card",
        "persistence false",
        f"max_packet_size {MAX_PACKET_BYTES}",
        "# all retained state of a full site at once, beside the streams; the default is 1000, and",
        "# what bursts past it is dropped silently",
        f"max_queued_messages {_QUEUE_MESSAGES}",
        "# what a client that has stalled may hold of a small machine's memory",
        f"max_queued_bytes {_QUEUE_BYTES}",
        "# an alert does not wait 40 ms for the acknowledgement of what was sent before it",
        "set_tcp_nodelay true",
        "log_dest stderr",
        "log_type error",
        "log_type warning",
        *(centre.lines(folder, reader=VIEWER) if centre else ()),
    ]
    return "\n".join(lines) + "\n"


def port_is_free(port: int, address: str = "127.0.0.1") -> bool:
    """Return whether nobody listens on this port of an address of this machine."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((address, port))
        except OSError as error:
            # an address that is not of this machine: whoever is to listen there says so
            return error.errno not in (errno.EADDRINUSE, errno.EACCES)
    return True


def choose_port(
    configured: int | None,
    usual: int = DEFAULT_PORT,
    address: str = "127.0.0.1",
    key: str = "broker.port",
    *,
    besides: Container[int] = (),
) -> int:
    """Return the configured port, or the usual one, or another free one.

    Args:
        configured: what the settings say; None: nothing.
        usual: the port to begin with.
        address: where it is to be free.
        key: what the setting is called.
        besides: ports that others of ours will have: not chosen.

    Raises:
        ResourceError: the configured port is taken.

    """
    if configured is not None:
        if not port_is_free(configured, address):
            raise ResourceError(
                f"port {configured} is taken: stop what listens there, or configure another ({key})"
            )
        return configured
    for port in range(usual, usual + 1 + _NEXT_PORTS):
        if port not in besides and port_is_free(port, address):
            return port
    return free_port()


def free_port() -> int:
    """Return a TCP port of loopback on which nobody listens.

    It lies below the ports that the kernel gives to outgoing connections: one of those could take
    it before its listener comes, or be joined to itself where nobody listens.
    """
    end = int(_CONNECTIONS.read_text(encoding="ascii").split()[0])
    choice = range(max(_UNPRIVILEGED, end - _CHOICE), end)
    for _ in range(_TRIES if choice else 0):
        if port_is_free(port := secrets.choice(choice)):
            return port
    with socket.socket() as sock:  # a machine that gives nearly all ports to connections
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def program() -> str:
    """Return Mosquitto's path.

    Raises:
        ResourceError: it is not installed.

    """
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise ResourceError("Mosquitto is not installed: apt-get install mosquitto")
    return found


def ensure_passwords(folder: Path) -> dict[str, str]:
    """Return every user's password, made on the first call and kept after it.

    Each stands in ``{folder}/{user}/broker__password``, so that the folder of a user is the
    secrets directory of the service of that name.
    """
    passwords = {}
    _private(folder)
    _private(folder / OWN)
    for user in USERS:
        home = folder / user.name
        _private(home)
        file = home / "broker__password"
        password = _read_password(file)
        if not password:
            password = secrets.token_urlsafe(_PASSWORD_BYTES)
            write_private(file, password)
        passwords[user.name] = password
    return passwords


def _read_password(file: Path) -> str:
    """Return a password; empty: there is none, or a power cut has left a file without its text.

    Raises:
        ConfigurationError: somebody wrote one that Mosquitto's password file cannot hold.

    """
    try:
        text = read_bytes(file, MAX_SECRET_BYTES).decode("utf-8-sig").strip()
    except (FileNotFoundError, UnicodeDecodeError):
        return ""
    if not text.isprintable():
        return ""
    if ":" in text:
        raise ConfigurationError(
            [f"secret {file}: a password of the own broker can hold no ':'; write another one"]
        )
    return text


def write_files(
    folder: Path,
    listeners: list[str],
    passwords: dict[str, str],
    centre: Centre | None = None,
) -> Path:
    """Write configuration, access rules and hashed passwords; return the configuration's path.

    Mosquitto's account owns the files and not the folder: what root writes there next time must
    not be led elsewhere by links that account has left.

    Raises:
        ResourceError: the hashing program of Mosquitto's package is missing or fails.

    """
    _make_anew(folder)
    plain = "".join(f"{name}:{password}\n" for name, password in passwords.items())
    hashed = folder / "passwords"
    fresh = folder / "passwords.new"
    write_private(fresh, plain)
    hasher = shutil.which("mosquitto_passwd") or "/usr/bin/mosquitto_passwd"
    try:
        # hashes in place; run twice on one file it would hash the hashes, so always a fresh one
        subprocess.run([hasher, "-U", str(fresh)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        fresh.unlink(missing_ok=True)
        raise ResourceError(f"mosquitto_passwd failed ({error}): install mosquitto anew") from None
    fresh.replace(hashed)
    write_private(folder / "acl", acl())
    account = _account(folder)
    config = folder / "mosquitto.conf"
    user = account.pw_name if account else "root"
    if centre and centre.settings.tls_ca:
        write_private(folder / AUTHORITY, centre.settings.tls_ca.read_text(encoding="utf-8"))
    write_private(config, configuration(listeners, str(folder), user, centre))
    if account is not None:
        for path in folder.iterdir():
            os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)
        os.chown(folder, -1, account.pw_gid)
        folder.chmod(0o750)
    return config


def command(config: Path) -> list[str]:
    """Return the command that runs Mosquitto with a configuration of :func:`write_files`."""
    return [program(), "-c", str(config)]


def user(config: Path) -> tuple[int, int] | None:
    """Return the user and group id to start Mosquitto as; None: as whoever starts it.

    Started as root it would change its user itself, and outlive a killed parent by that.
    """
    file = config.stat()
    return None if os.geteuid() != 0 or file.st_uid == 0 else (file.st_uid, file.st_gid)


def _account(folder: Path) -> pwd.struct_passwd | None:
    """Return the account for a broker started by root; None: where it could not reach its files."""
    if os.geteuid() != 0 or not all(_open_to_others(parent) for parent in folder.parents):
        return None
    try:
        return pwd.getpwnam(_SYSTEM_USER)
    except KeyError:
        return None


def _open_to_others(folder: Path) -> bool:
    return bool(folder.stat().st_mode & 0o001)


def _private(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o755)
    folder.chmod(0o700)


def _make_anew(folder: Path) -> None:
    """Make a folder that only we can change, without what anybody else may have left in it."""
    if folder.is_symlink() or not folder.is_dir():
        folder.unlink(missing_ok=True)
    else:
        os.chown(folder, os.geteuid(), -1)
        folder.chmod(0o700)
        shutil.rmtree(folder)
    _private(folder)
