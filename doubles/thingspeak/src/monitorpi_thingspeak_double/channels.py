"""What the cloud keeps: channels, their rows and their rate limits. No I/O, no clock of its own."""

from __future__ import annotations

import json
import secrets
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

FIELDS: Final = tuple(f"field{number}" for number in range(1, 9))
BULK_ROWS: Final = 960
"""Rows of one bulk call on a free licence."""
BULK_INTERVAL_S: Final = 15.0
"""Seconds between bulk calls to one channel, on every licence."""
UPDATE_INTERVAL_S: Final = 15.0
"""Seconds between single updates of one channel on a free licence."""
MAX_FIELD_BYTES: Final = 255
MAX_MESSAGE_BYTES: Final = 3000
"""Of one row, names and all."""
MAX_RESULTS: Final = 8000
_RESULTS: Final = 100
_CACHED_ROWS: Final = 100
_EXTRAS: Final = ("status", "latitude", "longitude", "elevation")
_UPDATE_NAMES: Final = {"lat": "latitude", "long": "longitude"}
"""The single update call has names of its own."""
_KEY_LENGTH: Final = 16
_YEAR_S: Final = 366 * 86_400.0

DuplicateRows = Literal["drop_row", "reject_409", "lost_after_202", "insert"]


@dataclass(slots=True)
class Switches:
    """How the double behaves where the real service is undocumented or slow."""

    dup_bulk: DuplicateRows = "drop_row"
    bulk_rows: int = BULK_ROWS
    bulk_interval_s: float = BULK_INTERVAL_S
    update_interval_s: float = UPDATE_INTERVAL_S
    commit_delay_s: float = 0.0
    """A 202 is a promise: rows are visible this much later."""
    cache_s: float = 0.0
    """Answers of more than 100 rows are repeated this long to the same query (the service: 300)."""
    read_key_only: bool = False
    """Let a channel be read with its read key alone, not with its write key too."""
    quota_spent: bool = False
    """Answer every write with 402."""
    update_429: bool = False
    """Answer a too early update with 429 instead of 200 and ``0``."""
    too_many: Literal[400, 413, 429] = 413
    """Answer more rows than ``bulk_rows`` with this."""


def _new_key() -> str:
    return secrets.token_hex(_KEY_LENGTH // 2).upper()


@dataclass(slots=True)
class Channel:
    """One channel with its keys and rows, by the second they were created at."""

    id: int
    name: str
    labels: dict[str, str]
    write_key: str = field(default_factory=_new_key)
    read_key: str = field(default_factory=_new_key)
    rows: list[dict[str, Any]] = field(default_factory=list)
    last_entry_id: int = 0
    last_bulk_s: float = float("-inf")
    last_update_s: float = float("-inf")
    waiting: list[tuple[float, list[dict[str, Any]]]] = field(default_factory=list)
    tags: tuple[str, ...] = ()
    cached: dict[tuple[tuple[str, str], ...], tuple[float, Answer]] = field(default_factory=dict)

    def shown(self) -> dict[str, Any]:
        """Return the channel as its owner sees it, keys included."""
        keys = [(self.write_key, True), (self.read_key, False)]
        return {
            "id": self.id,
            "name": self.name,
            "tags": [{"id": number, "name": tag} for number, tag in enumerate(self.tags, 1)],
            "api_keys": [{"api_key": key, "write_flag": write} for key, write in keys],
            **self.labels,
        }


@dataclass(slots=True)
class TalkBack:
    """A queue of commands."""

    id: int
    key: str = field(default_factory=_new_key)
    queue: list[dict[str, Any]] = field(default_factory=list)
    last: dict[str, Any] | None = None
    made: int = 0

    def number(self) -> None:
        """Number the positions anew."""
        for position, command in enumerate(self.queue, 1):
            command["position"] = position


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and body of a response."""

    status: int
    body: Any


class Cloud:
    """All channels of one double. Every method is safe to call from any thread."""

    def __init__(self, clock: Callable[[], float], switches: Switches | None = None) -> None:
        self.switches = switches or Switches()
        self.channels: dict[int, Channel] = {}
        self.talkbacks: dict[int, TalkBack] = {}
        self.user_key = _new_key()
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
                return error(self.switches.too_many, "error_too_large", "Too many rows")
            if any(len(json.dumps(update).encode()) > MAX_MESSAGE_BYTES for update in updates):
                return error(413, "error_too_large", "a row is longer than 3,000 bytes")
            rows = [row for update in _dated(updates, now) if (row := _row(update)) is not None]
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
        self._settle(channel)
        return Answer(202, {"success": True})

    def _known(self, channel: Channel) -> set[str]:
        """Return the times of the rows that are stored or accepted."""
        self._settle(channel)
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
            return error(413, "error_too_large", "longer than 3,000 bytes")
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
        blank = dict.fromkeys((*FIELDS, *_EXTRAS))
        return Answer(200, {"channel_id": channel.id, **blank, **channel.rows[-1]})

    def _single(self, values: dict[str, str]) -> dict[str, Any]:
        """Build the row of a single update; a time that cannot be read is now."""
        named = {_UPDATE_NAMES.get(name, name): value for name, value in values.items()}
        at = _instant(values.get("created_at"), values.get("timezone", "UTC"))
        row = _row({**named, "created_at": _stamp(at) if at else self._now()})
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
        start, end = self._since(query), _instant(query.get("end"))
        if start is not None:
            rows = [row for row in rows if row["created_at"] >= _stamp(start)]
        if end is not None:
            rows = [row for row in rows if row["created_at"] <= _stamp(end)]
        wanted = query.get("results", "")
        most = min(int(wanted), MAX_RESULTS) if wanted.isdecimal() else _RESULTS
        head = {"id": channel.id, "name": channel.name, **channel.labels}
        shown = rows[max(len(rows) - most, 0) :]
        feeds = [_shown(channel, row, query) for row in shown]
        return Answer(
            200, {"channel": {**head, "last_entry_id": channel.last_entry_id}, "feeds": feeds}
        )

    def last_feed(self, number: int, key: str | None, query: dict[str, str]) -> Answer:
        """Return the row that was stored last, which need not be the newest."""
        with self._lock:
            channel = self._readable(number, key)
            if isinstance(channel, Answer):
                return channel
            return Answer(200, _shown(channel, channel.rows[-1], query) if channel.rows else -1)

    def _since(self, query: dict[str, str]) -> datetime | None:
        """Return the moment a query begins at: a time, or so many days or minutes ago."""
        for name in ("days", "minutes"):
            if query.get(name, "").isdecimal():
                now = datetime.fromtimestamp(self._clock(), UTC)
                return now - timedelta(**{name: int(query[name])})
        return _instant(query.get("start"))

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
        return _stamp(datetime.fromtimestamp(self._clock(), UTC))

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
        self._settle(channel)
        return channel

    def all_keys(self) -> list[str]:
        """Return every key there is, for whoever must hide them."""
        with self._lock:
            of_channels = [(one.write_key, one.read_key) for one in self.channels.values()]
            keys = [key for pair in of_channels for key in pair]
            return [self.user_key, *keys, *(one.key for one in self.talkbacks.values())]

    def _settle(self, channel: Channel) -> None:
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


def error(status: int, code: str, message: str) -> Answer:
    """Build an error as the service words it; the status in the body is a string."""
    details = {"error_code": code, "message": message, "details": message}
    return Answer(status, {"status": str(status), "error": details})


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _instant(text: Any, zone: str = "UTC") -> datetime | None:
    """Read a time; one that names no zone is of the given one. None: it is none."""
    try:
        at = datetime.fromisoformat(text)
        return at if at.tzinfo else at.replace(tzinfo=ZoneInfo(zone))
    except (TypeError, ValueError, KeyError):
        return None


def _shown(channel: Channel, row: dict[str, Any], query: dict[str, str]) -> dict[str, Any]:
    """Return what of a row comes back: labelled fields, and the rest on request."""
    names = ["created_at", "entry_id", *channel.labels]
    names += ["status"] if query.get("status") == "true" else []
    names += _EXTRAS[1:] if query.get("location") == "true" else []
    return {name: row.get(name) for name in names}


def _row(update: Any) -> dict[str, Any] | None:
    """Keep what a row may have; values become strings, as they come back."""
    if not isinstance(update, dict):
        return None
    at = _instant(update.get("created_at"))
    if at is None:
        return None
    row: dict[str, Any] = {"created_at": _stamp(at)}
    for name in (*FIELDS, *_EXTRAS):
        if update.get(name) is not None:
            row[name] = str(update[name]).encode()[:MAX_FIELD_BYTES].decode(errors="ignore")
    return row


def _dated(updates: list[Any], now: float) -> list[Any]:
    """Turn ``delta_t`` into times: seconds since the row before, the last row being now."""
    if not all(isinstance(one, dict) and "delta_t" in one for one in updates):
        return updates
    dated: list[Any] = []
    at = now
    for one in reversed(updates):
        dated.append({**one, "created_at": _stamp(datetime.fromtimestamp(at, UTC))})
        at -= _seconds(one["delta_t"])
    return dated[::-1]


def _seconds(text: Any) -> float:
    """Read a distance in time; what is none is nothing."""
    try:
        return min(max(float(text), 0.0), _YEAR_S)
    except (TypeError, ValueError):
        return 0.0
