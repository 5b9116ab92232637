"""What the database keeps beside the series: alerts, devices, targets, changes. I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_history.sinks.schema import transaction

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from monitorpi_common.messages import Alert, Device
    from monitorpi_history.items import Change, Named

MAX_CHANGES: Final = 200_000
MAX_ALERTS: Final = 50_000
MAX_DEVICES: Final = 20_000


def write_alerts(db: sqlite3.Connection, alerts: Sequence[Alert]) -> None:
    """Write alerts as they are now, the newest of each."""
    db.executemany(
        "INSERT OR REPLACE INTO alert VALUES (?, ?, ?, ?, ?, ?)",
        [
            (
                alert.id,
                _ms(alert.opened_at.timestamp()),
                None if alert.closed_at is None else _ms(alert.closed_at.timestamp()),
                alert.rule,
                alert.subject,
                alert.encode().decode(),
            )
            for alert in alerts
        ],
    )
    if alerts:
        _keep_newest(db, "alert", "opened_ms", MAX_ALERTS)


def write_devices(
    db: sqlite3.Connection, devices: Sequence[Device], changes: Sequence[Change]
) -> None:
    """Write devices as they are; one that is forgotten keeps its name for whoever looks back."""
    gone = {change.subject for change in changes if change.what == "forgotten"}
    db.executemany(
        "INSERT OR REPLACE INTO device VALUES (?, ?, ?, ?)",
        [
            (
                device.mac, _ms(device.last_seen.timestamp()), device.mac in gone,
                device.encode().decode(),
            )
            for device in devices
        ],
    )  # fmt: skip
    if devices:
        _keep_newest(db, "device", "seen_ms", MAX_DEVICES)


def write_targets(db: sqlite3.Connection, targets: Mapping[str, Named]) -> None:
    """Write what is known of probe targets now."""
    db.executemany(
        "INSERT OR REPLACE INTO target VALUES (?, ?, ?)",
        [(address, *named) for address, named in targets.items()],
    )


def write_changes(db: sqlite3.Connection, changes: Sequence[Change]) -> None:
    """Append what has changed."""
    db.executemany(
        "INSERT INTO change VALUES (NULL, ?, ?, ?, ?, ?)",
        [(one.at_ms, one.subject, one.what, one.before, one.after) for one in changes],
    )
    if changes:
        _keep_newest(db, "change", "at_ms", MAX_CHANGES)


def _keep_newest(db: sqlite3.Connection, table: str, column: str, most: int) -> None:
    """Delete the oldest rows beyond a number."""
    db.execute(
        f"DELETE FROM {table} WHERE {column} < "  # noqa: S608 - names of ours
        f"(SELECT {column} FROM {table} ORDER BY {column} DESC LIMIT 1 OFFSET ?)",
        (most,),
    )


def forget_before(db: sqlite3.Connection, moment_s: float) -> None:
    """Delete what ended before a moment: alerts, changes, and devices that are gone since."""
    moment_ms = _ms(moment_s)
    with transaction(db):
        db.execute("DELETE FROM alert WHERE closed_ms < ?", (moment_ms,))
        db.execute("DELETE FROM change WHERE at_ms < ?", (moment_ms,))
        db.execute("DELETE FROM device WHERE forgotten AND seen_ms < ?", (moment_ms,))


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
