"""The unit that systemd starts at boot: what it may do, and nothing beyond. Pure.

Every line that takes something away was tried with the whole stack at work. What is not taken:

- root: packet sockets, counting in the kernel and the broker's own account need capabilities that
  an ordinary account would have to be given one by one, to every service;
- reading of home folders: the clone may stand in one;
- adjtimex (which ``ProtectClock=`` forbids): it reports whether the clock is synchronised. To set
  the clock takes a capability that is not given.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME: Final = "monitorpi.service"
STATE: Final = Path("/var/lib/monitorpi")
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CAPABILITIES: Final = {
    "CAP_NET_RAW": "capture and prober: packet sockets, ICMP and ARP, promiscuous mode",
    "CAP_BPF": "capture: counting in the kernel",
    "CAP_SETUID": "the broker runs under an account of its own",
    "CAP_SETGID": "the same",
    "CAP_CHOWN": "its files belong to that account",
    "CAP_DAC_OVERRIDE": "and are written anew at each start",
    "CAP_FOWNER": "the same",
    "CAP_KILL": "it is stopped at the end, by the kernel too where `up` is killed",
    "CAP_NET_BIND_SERVICE": "a page at port 80, if configured",
}
"""What the stack may do, and what for."""


@dataclass(frozen=True)
class InstallPlan:
    """What the unit is made from."""

    root: Path
    """The clone."""
    python: Path
    """The Python of its virtual environment."""
    config: Path
    state: Path = STATE
    interfaces: Sequence[str] = ()
    secrets: Path | None = None
    """Secrets directory, where a broker of somebody else's is used."""


def text(plan: InstallPlan) -> str:
    """Return the unit."""
    up = ["-P", "-m", "monitorpi_cli", "up", "--config", str(plan.config)]
    for name in plan.interfaces:
        up += ["--interface", name]
    environment = {
        "MONITORPI_ROOT": str(plan.root),
        "PATH": f"{plan.python.parent}:{_PATH}",
        "PYTHONUNBUFFERED": "1",
    }
    if plan.secrets is not None:
        environment["MONITORPI_SECRETS_DIR"] = str(plan.secrets)
    lines = [
        "# Written by `./monitorpi install`, which writes it anew: changes of yours belong into",
        "# `systemctl edit monitorpi`.",
        "[Unit]",
        "Description=MonitorPi: counts, pings and alerts from a mirror port",
        f"Documentation=file:{_path(plan.root)}/docs/deployment.md",
        "Wants=network-online.target",
        "After=network-online.target time-sync.target",
        "",
        "[Service]",
        "# ready: the broker answers; alive: a sign each ten seconds",
        "Type=notify",
        "WatchdogSec=60",
        "# with root's rights and the network: packages follow the clone after `git pull`; where",
        "# that cannot be done, what is there is started",
        f"ExecStartPre=-+{_words([str(plan.root / 'monitorpi'), 'prepare'])}",
        "TimeoutStartSec=15min",
        f"ExecStart={_words([str(plan.python), *up])}",
        *(f"Environment={_quoted(f'{name}={value}')}" for name, value in environment.items()),
        "# `up` stops its services before the broker, so that each says offline",
        "KillMode=mixed",
        "Restart=on-failure",
        "RestartSec=10",
        "# 2: settings must be changed first",
        "RestartPreventExitStatus=2",
        "",
        *_sandbox(plan),
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    ]
    return "\n".join(lines) + "\n"


def _sandbox(plan: InstallPlan) -> list[str]:
    state = ["StateDirectory=monitorpi", "StateDirectoryMode=0755"]
    if plan.state != STATE:
        state = [f"ReadWritePaths={_quoted(plan.state)}"]
    return [
        *(f"# {name}: {reason}" for name, reason in CAPABILITIES.items()),
        f"CapabilityBoundingSet={' '.join(CAPABILITIES)}",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        *state,
        "ProtectHome=read-only",
        "PrivateTmp=yes",
        "PrivateDevices=yes",
        "ProtectKernelTunables=yes",
        "ProtectKernelModules=yes",
        "ProtectKernelLogs=yes",
        "ProtectControlGroups=yes",
        "ProtectHostname=yes",
        "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK AF_PACKET",
        "RestrictNamespaces=yes",
        "RestrictRealtime=yes",
        "RestrictSUIDSGID=yes",
        "LockPersonality=yes",
        "MemoryDenyWriteExecute=yes",
        "SystemCallArchitectures=native",
        "SystemCallFilter=@system-service bpf adjtimex clock_adjtime",
        "SystemCallErrorNumber=EPERM",
        "# what is shared counted once: a service takes 20 to 40 MB, and a dozen threads",
        "TasksMax=256",
        "MemoryMax=1G",
    ]


def _words(words: Sequence[str]) -> str:
    """Return a command line, in which a dollar sign would begin a variable."""
    return " ".join(_quoted(word.replace("$", "$$")) for word in words)


def _quoted(word: str | Path) -> str:
    """Return a word as systemd reads it (systemd.syntax, quoting; systemd.unit, specifiers)."""
    escaped = str(word).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"' if any(sign in escaped for sign in " \t\"'\\;") else escaped


def _path(path: Path) -> str:
    """Return a path in a URL of the unit."""
    return path.as_uri().removeprefix("file://").replace("%", "%%")
