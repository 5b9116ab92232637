"""The calls of the cloud on its channels and queues, with their limits. No clock of its own."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from monitorpi_thingspeak_double.channels import Answer, Channel, Switches, TalkBack, error, new_key
from monitorpi_thingspeak_double.rows import (
    EXTRAS,
    FIELDS,
    MAX_FIELD_BYTES,
    dated,
    instant,
    row_of,
    shown,
    stamp,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MAX_MESSAGE_BYTES: Final = 3000
"""Of one row, names and all."""
MAX_RESULTS: Final = 8000
_RESULTS: Final = 100
_CACHED_ROWS: Final = 100
_UPDATE_NAMES: Final = {"lat": "latitude", "long": "longitude"}
"""The single update call has names of its own."""


class Cloud:
    """All channels of one double. Every method is safe to call from any thread."""

    def __init__(self, clock: Callable[[], float], switches: Switches | None = None) -> None:
        self.switches = switches or Switches()
        self.channels: dict[int, Channel] = {}
        self.talkbacks: dict[int, TalkBack] = {}
        self.user_key = new_key()
        self._clock = clock
        self._lock = threading.RLock()

    def add_channel(self, name: str, labels: Iterable[str] = ()) -> Channel:
        """Make a channel; labels name its fields in order."""
        with self._lock:
            number = 1001 + len(self.channels)
            channel = Channel(number, name, dict(zip(FIELDS, labels, strict=False)))
            self.channels[number] = channel
            return channel

    def bulk_update(self, number: int, key: str | None, updates: Any) -> Answer:
        """Take many rows at once; a refused call does not move the limiter."""
        with self._lock:
            channel = self._writable(number, key)
            if isinstance(channel, Answer):
                return channel
            if self.switches.quota_spent:
                return error(402, "error_payment_required", "Payment required")
            now = self._clock()
            if now - channel.last_bulk_s < self.switches.bulk_interval_s:
                return error(429, "error_too_many_requests", "Too many requests, slow down")
            if not isinstance(updates, list) or not updates:
                return error(400, "error_bad_request", "updates must be a list of rows")
            if len(updates) > self.switches.bulk_rows:
                return error(self.switches.too_many, "error_request_too_large", "Too many rows")
            if any(len(json.dumps(update).encode()) > MAX_MESSAGE_BYTES for update in updates):
                return error(413, "error_request_too_large", "a row is longer than 3,000 bytes")
            rows = [row for update in dated(updates, now) if (row := row_of(update)) is not None]
            if len(rows) < len(updates):
                return error(400, "error_bad_request", "a row has no usable created_at")
            return self._accept(channel, rows, now)

    def _accept(self, channel: Channel, rows: list[dict[str, Any]], now: float) -> Answer:
        known = self._known(channel)
        fresh = {row["created_at"]: row for row in rows if row["created_at"] not in known}
        doubled = len(fresh) < len(rows)
        match self.switches.dup_bulk:
            case "reject_409" if doubled:
                return error(409, "error_conflict", "rows with these timestamps exist")
            case "lost_after_202" if doubled:
                rows = []
            case "insert":
                pass
            case _:
                rows = list(fresh.values())
        channel.last_bulk_s = now
        channel.waiting.append((now + self.switches.commit_delay_s, rows))
        self._store_due(channel)
        return Answer(202, {"success": True})

    def _known(self, channel: Channel) -> set[str]:
        """Return the times of the rows that are stored or accepted."""
        self._store_due(channel)
        batches = [channel.rows, *(batch for _, batch in channel.waiting)]
        return {row["created_at"] for batch in batches for row in batch}

    def update(self, key: str | None, values: dict[str, str]) -> Answer:
        """Take one row by the single update call; the body is the stored row, or 0.

        With a ``talkback_key`` the body is a command instead, which is gone whatever comes of
        the row: that is what the real service does.
        """
        with self._lock:
            command = self._popped_by(values.get("talkback_key"))
            answer = self._update(key, values)
            if command is None or answer.status != 200:  # noqa: PLR2004 - HTTP's OK
                return answer
            return Answer(200, command)

    def _update(self, key: str | None, values: dict[str, str]) -> Answer:
        channel = next((c for c in self.channels.values() if c.write_key == key), None)
        if channel is None:
            return Answer(400, 0)
        if self.switches.quota_spent:
            return error(402, "error_payment_required", "Payment required")
        if sum(len(f"{name}={value}".encode()) for name, value in values.items()) > (
            MAX_MESSAGE_BYTES
        ):
            return error(413, "error_request_too_large", "longer than 3,000 bytes")
        now = self._clock()
        if now - channel.last_update_s < self.switches.update_interval_s:
            if self.switches.update_429:
                return error(429, "error_too_many_requests", "Too many requests")
            return Answer(200, 0)
        row = self._single(values)
        if "created_at" in values and row["created_at"] in self._known(channel):
            return Answer(200, 0)
        channel.last_update_s = now
        self._store(channel, [row])
        blank = dict.fromkeys((*FIELDS, *EXTRAS))
        return Answer(200, {"channel_id": channel.id, **blank, **channel.rows[-1]})

    def _single(self, values: dict[str, str]) -> dict[str, Any]:
        """Build the row of a single update; a time that cannot be read is now."""
        named = {_UPDATE_NAMES.get(name, name): value for name, value in values.items()}
        at = instant(values.get("created_at"), values.get("timezone", "UTC"))
        row = row_of({**named, "created_at": stamp(at) if at else self._now()})
        assert row is not None  # noqa: S101 - the stamp is ours
        return row

    def _popped_by(self, talkback_key: str | None) -> str | None:
        """Take the first command off the queue a key opens; None: no such queue."""
        for talkback in self.talkbacks.values():
            if talkback.key == talkback_key:
                command = self.talkback(talkback.id, talkback_key, "execute").body
                return str(command.get("command_string", ""))
        return None

    def feeds(self, number: int, key: str | None, query: dict[str, str]) -> Answer:
        """Return the rows of a channel in order of time, at most 8,000."""
        with self._lock:
            channel = self._readable(number, key)
            if isinstance(channel, Answer):
                return channel
            asked = tuple(sorted(item for item in query.items() if "key" not in item[0]))
            until, known = channel.cached.get(asked, (0.0, None))
            if known is not None and self._clock() < until:
                return known
            answer = self._feeds(channel, query)
            if len(answer.body["feeds"]) > _CACHED_ROWS and self.switches.cache_s:
                channel.cached[asked] = (self._clock() + self.switches.cache_s, answer)
            return answer

    def _feeds(self, channel: Channel, query: dict[str, str]) -> Answer:
        rows = sorted(channel.rows, key=lambda row: str(row["created_at"]))
        start, end = self._since(query), instant(query.get("end"))
        if start is not None:
            rows = [row for row in rows if row["created_at"] >= stamp(start)]
        if end is not None:
            rows = [row for row in rows if row["created_at"] <= stamp(end)]
        wanted = query.get("results", "")
        most = min(int(wanted), MAX_RESULTS) if wanted.isdecimal() else _RESULTS
        head = {"id": channel.id, "name": channel.name, **channel.labels}
        feeds = [shown(channel, row, query) for row in rows[max(len(rows) - most, 0) :]]
        return Answer(
            200, {"channel": {**head, "last_entry_id": channel.last_entry_id}, "feeds": feeds}
        )

    def last_feed(self, number: int, key: str | None, query: dict[str, str]) -> Answer:
        """Return the row that was stored last, which need not be the newest."""
        with self._lock:
            channel = self._readable(number, key)
            if isinstance(channel, Answer):
                return channel
            return Answer(200, shown(channel, channel.rows[-1], query) if channel.rows else -1)

    def _since(self, query: dict[str, str]) -> datetime | None:
        """Return the moment a query begins at: a time, or so many days or minutes ago."""
        for name in ("days", "minutes"):
            if query.get(name, "").isdecimal():
                now = datetime.fromtimestamp(self._clock(), UTC)
                return now - timedelta(**{name: int(query[name])})
        return instant(query.get("start"))

    # --- the owner's calls ------------------------------------------------------------------

    def list_channels(self, key: str | None) -> Answer:
        """Return all channels with their keys, for the user key."""
        with self._lock:
            if key != self.user_key:
                return error(401, "error_auth_required", "Authorization Required")
            return Answer(200, [channel.shown() for channel in self.channels.values()])

    def make_channel(self, key: str | None, values: dict[str, str]) -> Answer:
        """Make a channel."""
        with self._lock:
            if key != self.user_key:
                return error(401, "error_auth_required", "Authorization Required")
            channel = self.add_channel(values.get("name", "Channel"))
            channel.labels = {name: values[name] for name in FIELDS if name in values}
            channel.tags = tuple(tag for tag in values.get("tags", "").split(",") if tag)
            return Answer(200, channel.shown())

    def change_channel(self, key: str | None, number: int, values: dict[str, str]) -> Answer:
        """Change name and labels of a channel."""
        with self._lock:
            if key != self.user_key:
                return error(401, "error_auth_required", "Authorization Required")
            channel = self.channels.get(number)
            if channel is None:
                return error(404, "error_resource_not_found", "Resource not found")
            channel.name = values.get("name", channel.name)
            channel.labels |= {name: values[name] for name in FIELDS if name in values}
            return Answer(200, channel.shown())

    # --- TalkBack ---------------------------------------------------------------------------

    def add_talkback(self) -> TalkBack:
        """Make a queue of commands."""
        with self._lock:
            number = 501 + len(self.talkbacks)
            self.talkbacks[number] = TalkBack(number)
            return self.talkbacks[number]

    def add_command(self, number: int, text: str, position: int | None = None) -> dict[str, Any]:
        """Put a command at a position of a queue, or at its end."""
        with self._lock:
            talkback = self.talkbacks[number]
            talkback.made += 1
            command = {
                "id": 9000 + talkback.made,
                "command_string": text.encode()[:MAX_FIELD_BYTES].decode(errors="ignore"),
                "position": len(talkback.queue) + 1,
                "executed_at": None,
                "created_at": self._now(),
            }
            place = len(talkback.queue) if position is None else max(position - 1, 0)
            talkback.queue.insert(place, command)
            talkback.number()
            return command

    def commands(
        self, number: int, key: str | None, method: str, command: int | None, values: dict[str, str]
    ) -> Answer:
        """Answer the calls that list, add, show, change and take back commands."""
        with self._lock:
            talkback = self.talkbacks.get(number)
            if talkback is None or key != talkback.key:
                return error(401, "error_auth_required", "Authorization Required")
            at = values.get("position", "")
            position = int(at) if at.isdecimal() else None
            if command is None:
                if method == "GET":
                    return Answer(200, list(talkback.queue))
                if method == "DELETE":
                    talkback.queue.clear()
                    return Answer(200, [])
                return Answer(200, self.add_command(number, values["command_string"], position))
            found = next((one for one in talkback.queue if one["id"] == command), None)
            if found is None:
                return error(404, "error_resource_not_found", "Resource not found")
            if method == "GET":
                return Answer(200, dict(found))
            talkback.queue.remove(found)
            if method == "PUT":
                found["command_string"] = values.get("command_string", found["command_string"])
                talkback.queue.insert((position or int(found["position"])) - 1, found)
            talkback.number()
            return Answer(200, found)

    def talkback(self, number: int, key: str | None, what: str) -> Answer:
        """Answer ``execute``, which takes the first command off the queue, or ``last``."""
        with self._lock:
            talkback = self.talkbacks.get(number)
            if talkback is None or key != talkback.key:
                return error(401, "error_auth_required", "Authorization Required")
            if what == "last":
                found = talkback.last
                missing = error(404, "error_resource_not_found", "Resource not found")
                return Answer(200, found) if found else missing
            if not talkback.queue:
                return Answer(200, {})
            talkback.last = {**talkback.queue.pop(0), "position": None, "executed_at": self._now()}
            talkback.number()
            return Answer(200, talkback.last)

    def _now(self) -> str:
        return stamp(datetime.fromtimestamp(self._clock(), UTC))

    def _writable(self, number: int, key: str | None) -> Channel | Answer:
        channel = self.channels.get(number)
        if channel is None:
            return error(404, "error_resource_not_found", "Resource not found")
        if key != channel.write_key:
            return error(401, "error_auth_required", "Authorization Required")
        return channel

    def _readable(self, number: int, key: str | None) -> Channel | Answer:
        channel = self.channels.get(number)
        if channel is None:
            return error(404, "error_resource_not_found", "Resource not found")
        opening = [channel.read_key]
        opening += [] if self.switches.read_key_only else [channel.write_key]
        if key not in opening:
            return error(400, "error_auth_required", "Authorization Required")
        self._store_due(channel)
        return channel

    def all_keys(self) -> list[str]:
        """Return every key there is, for whoever must hide them."""
        with self._lock:
            of_channels = [(one.write_key, one.read_key) for one in self.channels.values()]
            keys = [key for pair in of_channels for key in pair]
            return [self.user_key, *keys, *(one.key for one in self.talkbacks.values())]

    def _store_due(self, channel: Channel) -> None:
        """Store the accepted rows whose time has come."""
        now = self._clock()
        due = [rows for at, rows in channel.waiting if at <= now]
        channel.waiting = [(at, rows) for at, rows in channel.waiting if at > now]
        for rows in due:
            self._store(channel, rows)

    def _store(self, channel: Channel, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            channel.last_entry_id += 1
            channel.rows.append({**row, "entry_id": channel.last_entry_id})
