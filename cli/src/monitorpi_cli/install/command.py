"""``./monitorpi install``, ``uninstall`` and ``status``."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from monitorpi_cli.checkout import root
from monitorpi_cli.doctor.finding import CheckResult
from monitorpi_cli.doctor.watch import check_watch
from monitorpi_cli.install import systemd, unit
from monitorpi_cli.stack.listening import is_own
from monitorpi_cli.stack.logins import logins
from monitorpi_cli.stack.plan import secrets_of
from monitorpi_cli.stack.preflight import mistakes
from monitorpi_cli.stack.private import write_private
from monitorpi_cli.stack.running import NoStackError, find_running
from monitorpi_cli.stack.state import state_dir
from monitorpi_common.messages import Service
from monitorpi_common.service import ResourceError
from monitorpi_common.settings import DEFAULT_FILE, ENV_PREFIX, ConfigurationError, NoSection, load
from monitorpi_common.topics import ANY
from monitorpi_host import interfaces

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_START_S: Final = 20.0
"""Of a first start, with packages that are there."""
_POLL_S: Final = 0.5
_LINES: Final = 5
_HANDED_ON: Final = {"MONITORPI_ROOT", "MONITORPI_VENV", "MONITORPI_SECRETS_DIR"}
_OK, _NOT_WELL, _USAGE, _RESOURCE = 0, 1, 2, 3
_KEPT: Final = (*(service.value for service in Service), "broker", "secrets", "lock")
"""What ``up`` makes in its state folder: nothing else there is ours to remove."""


def install(argv: Sequence[str]) -> int:
    """Let systemd start MonitorPi, now and at each boot."""
    parser = argparse.ArgumentParser(
        prog="./monitorpi install",
        description="Let systemd start MonitorPi, now and at each boot. Run again, it brings the "
        "unit up to date; the settings that are there are kept.",
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE",
        help=f"settings to copy to {DEFAULT_FILE}, unless there are some",
    )  # fmt: skip
    parser.add_argument(
        "--interface", action="append", default=[], metavar="NAME",
        help="listen here (repeatable); by default as configured, or the wired interface",
    )  # fmt: skip
    return _guarded("install", lambda: _install(parser.parse_args(argv)))


def uninstall(argv: Sequence[str]) -> int:
    """Stop MonitorPi and take it out of the boot."""
    parser = argparse.ArgumentParser(
        prog="./monitorpi uninstall",
        description="Stop MonitorPi and take it out of the boot. Settings, passwords and state "
        "stay, unless --purge is given.",
    )
    parser.add_argument("--purge", action="store_true", help="remove settings and state too")
    return _guarded("uninstall", lambda: _uninstall(parser.parse_args(argv)))


def status(argv: Sequence[str]) -> int:
    """Return whether it is installed, runs, and watches; exit 0 only if it does."""
    parser = argparse.ArgumentParser(
        prog="./monitorpi status",
        description="Is it installed, does it run, and does it watch? Exit code: 0 it watches, "
        "1 it does not, or not all of it, 3 it is not installed.",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return _guarded("status", lambda: _status(parser.parse_args(argv)))


def _guarded(name: str, act: Callable[[], int]) -> int:
    try:
        return act()
    except ConfigurationError as error:
        for line in error.lines:
            print(f"monitorpi {name}: configuration: {line}", file=sys.stderr)
        return _USAGE
    except ResourceError as error:
        print(f"monitorpi {name}: {error}", file=sys.stderr)
        return _RESOURCE
    except OSError as error:
        print(f"monitorpi {name}: {error.filename}: {error.strerror}", file=sys.stderr)
        return _RESOURCE


def _require(otherwise: str) -> None:
    """Check that we may do it here.

    Args:
        otherwise: what to do, or what it means, where systemd does not run.

    Raises:
        ResourceError: not as this user, or not on this machine.

    """
    if os.geteuid() != 0:
        raise ResourceError("units of the machine are for root: run it with sudo")
    if not systemd.is_running():
        raise ResourceError(f"systemd does not run this machine: {otherwise}")


# --- install --------------------------------------------------------------------------------------


def _install(options: argparse.Namespace) -> int:
    _require("let what does run `./monitorpi up` at boot")
    if only_here := sorted(name for name in os.environ if is_lost(name)):
        raise ConfigurationError(
            f"{name}: set in this shell and not for the service: write it into {DEFAULT_FILE}"
            for name in only_here
        )
    source = options.config or (DEFAULT_FILE if DEFAULT_FILE.exists() else None)
    wrong = mistakes(source, secrets_of)
    if wrong:
        raise ConfigurationError(wrong)
    for line in _place(options.config, DEFAULT_FILE):
        print(line)
    plan = plan_for(DEFAULT_FILE, options.interface)
    text = unit.text(plan)
    if against := systemd.verify(unit.NAME, text):
        raise ResourceError(f"systemd would not take the unit: {against[0]}")
    for line in (*warnings(plan.root), *absent(plan.interfaces, interfaces.names())):
        print(line)
    file = systemd.UNITS / unit.NAME
    before = file.read_text(encoding="utf-8") if file.exists() else None
    if before != text:
        _write(file, text)
        systemd.control("daemon-reload")
    print(f"{file} {'is as it was' if before == text else 'written'}")
    systemd.control("enable", "--quiet", unit.NAME)
    systemd.control("start" if before == text else "restart", "--no-block", unit.NAME)
    return _await_start()


def is_lost(variable: str) -> bool:
    """Return whether a variable of this shell is a setting that the service would not have."""
    return variable.startswith(ENV_PREFIX) and variable not in _HANDED_ON


def _place(given: Path | None, file: Path) -> list[str]:
    """Put the settings where the unit reads them, unless there are some."""
    source = given or root() / "config" / "monitorpi.toml"
    if not file.exists():
        _write(file, source.read_text(encoding="utf-8"))
        return [f"{file} written, a copy of {source}"]
    if given is not None and given.read_bytes() != file.read_bytes():
        return [f"{file} is kept as it is; to replace it: sudo cp {given} {file}"]
    return [f"{file} is kept as it is"]


def plan_for(config: Path, interfaces: Sequence[str]) -> unit.InstallPlan:
    """Return what the unit is made from.

    Raises:
        ConfigurationError: the settings are wrong.

    """
    common = load(None, NoSection, file=config).common
    secrets = os.environ.get("MONITORPI_SECRETS_DIR")
    return unit.InstallPlan(
        root=root().resolve(),
        python=Path(sys.executable),
        config=config,
        state=state_dir(common).absolute(),
        interfaces=tuple(interfaces),
        secrets=Path(secrets).absolute() if secrets and not is_own(common.broker) else None,
    )


def warnings(folder: Path) -> list[str]:
    """Return who could change what root will run at each boot."""
    owner = folder.stat()
    if owner.st_uid == 0 and not owner.st_mode & 0o022:
        return []
    name = folder.owner() if owner.st_uid else "others"
    who = f"{folder} can be changed by {name}, and root runs what is in it at each boot"
    return [f"note: {who}; a clone of root's own, in /opt/monitorpi, cannot"]


def absent(wanted: Sequence[str], there: Sequence[str]) -> list[str]:
    """Return which interfaces are not there: mistyped, or an adapter that comes later."""
    return [
        f"note: there is no interface {name!r}: it is waited for; there are {', '.join(there)}"
        for name in wanted
        if name not in there
    ]


def _write(file: Path, text: str) -> None:
    """Write a file that everybody may read, complete or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_private(file, text)
    file.chmod(0o644)


def _await_start() -> int:
    """Wait for the first start to be over; report what came of it."""
    deadline = time.monotonic() + _START_S
    while (now := systemd.state_of(unit.NAME)).active != "active":
        if now.active == "failed" or now.result != "success" or time.monotonic() > deadline:
            break
        time.sleep(_POLL_S)
    if now.active == "active":
        print("MonitorPi runs, now and at each boot: ./monitorpi status")
        print(f"what it says: journalctl --unit {unit.NAME} --follow")
        return _OK
    if now.active == "activating" and now.result == "success":
        print(f"it is still starting: journalctl --unit {unit.NAME} --follow")
        return _OK
    for line in systemd.journal(unit.NAME, _LINES):
        print(f"  {line}", file=sys.stderr)
    raise ResourceError(f"it is installed and does not run ({now.result}): mend that, then again")


# --- uninstall ------------------------------------------------------------------------------------


def _uninstall(options: argparse.Namespace) -> int:
    _require("it was not installed here")
    file = systemd.UNITS / unit.NAME
    if file.exists():
        systemd.control("disable", "--now", "--quiet", unit.NAME)
        file.unlink()
        systemd.control("daemon-reload")
        print(f"stopped; {file} is gone")
    else:
        print("it is not installed")
    folder = _state_folder()
    if options.purge:
        for line in purge(folder, DEFAULT_FILE):
            print(line)
    else:
        kept = [str(path) for path in (DEFAULT_FILE.parent, folder) if path.exists()]
        if kept:
            print(f"kept: {', '.join(kept)} (--purge removes them)")
    return _OK


def _state_folder() -> Path:
    try:
        return state_dir(load(None, NoSection, file=None).common)
    except ConfigurationError:
        return unit.STATE


def purge(state: Path, config: Path) -> list[str]:
    """Remove the settings and what ``up`` made in its state folder; folders only if then empty."""
    lines = []
    for path in (*(state / name for name in _KEPT), config):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    for folder in (state, config.parent):
        if not folder.exists():
            continue
        try:
            folder.rmdir()
            lines.append(f"{folder} is gone")
        except OSError:
            lines.append(f"{folder} holds more than ours: what is left is kept")
    return lines


# --- status ---------------------------------------------------------------------------------------


def _status(options: argparse.Namespace) -> int:
    if not systemd.is_running():
        raise ResourceError("systemd does not run this machine; ./monitorpi doctor says what runs")
    now = systemd.state_of(unit.NAME)
    watch = _watch() if now.active == "active" else []
    if options.json:
        result = {
            "installed": now.is_installed,
            "enabled": now.is_enabled,
            "active": now.active,
            "since": now.since,
            "watch": [dataclasses.asdict(one) for one in watch],
        }
        print(json.dumps(result))
    else:
        for line in report(now, watch):
            print(line)
    if not now.is_installed:
        return _RESOURCE
    is_well = now.active == "active" and all(one.mark == "ok" for one in watch) and bool(watch)
    return _OK if is_well else _NOT_WELL


def report(now: systemd.UnitState, watch: Sequence[CheckResult]) -> list[str]:
    """Return the lines of ``status``."""
    if not now.is_installed:
        return ["installed  no: sudo ./monitorpi install"]
    remedy = "" if now.active != "failed" else f" ({now.result}): journalctl --unit {unit.NAME}"
    since = f" since {now.since}" if now.since and now.active == "active" else ""
    lines = [
        "installed  yes",
        f"at boot    {'yes' if now.is_enabled else 'no: sudo systemctl enable monitorpi'}",
        f"running    {now.active}{since}{remedy}",
    ]
    return lines + [
        f"{one.topic:<11}{one.text}" + (f": {one.remedy}" if one.remedy else "") for one in watch
    ]


def _watch() -> list[CheckResult]:
    """Ask the running stack whether it watches; nothing where that cannot be asked."""
    config = DEFAULT_FILE if DEFAULT_FILE.exists() else None
    common = load(None, NoSection, file=config).common
    try:
        running = find_running(config) if is_own(common.broker) else None
        found = logins(config, running)
    except (NoStackError, OSError):
        return [CheckResult("note", "watch", "is for root to ask", "sudo ./monitorpi status")]
    reader = next((one for one in found if one.service is Service.DASHBOARD), found[0])
    return list(check_watch(reader.settings, ANY if running else common.site))
