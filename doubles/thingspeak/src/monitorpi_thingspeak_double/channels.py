"""What the cloud keeps: channels, their rows and their rate limits. No I/O, no clock of its own."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal

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
MAX_RESULTS: Final = 8000
_RESULTS: Final = 100
_CACHED_ROWS: Final = 100
_EXTRAS: Final = ("status", "latitude", "longitude", "elevation")
_UPDATE_NAMES: Final = {"lat": "latitude", "long": "longitude"}
"""The single update call has names of its own."""
_KEY_LENGTH: Final = 16

DuplicateRows = Literal["drop_row", "reject_409", "lost_after_202", "insert"]


@dataclass(slots=True)
class Switches:
    """How the double behaves where the real service is undocumented or slow."""

    dup_bulk: DuplicateRows = "drop_row"
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
            if len(updates) > BULK_ROWS:
                return error(self.switches.too_many, "error_too_large", "Too many rows")
            rows = [row for update in _dated(updates, now) if (row := _row(update)) is not None]
            if len(rows) < len(updates):
                return error(400, "error_bad_request", "a row has no usable created_at")
            return self._accept(channel, rows, now)

    def _accept(self, channel: Channel, rows: list[dict[str, Any]], now: float) -> Answer:
        self._settle(channel)
        known = {row["created_at"] for row in channel.rows}
        known |= {row["created_at"] for _, batch in channel.waiting for row in batch}
        fresh = {row["created_at"]: row for row in rows if row["created_at"] not in known}
        doubled = len(fresh) < len(rows)
        channel.last_bulk_s = now
        match self.switches.dup_bulk:
            case "reject_409" if doubled:
                return error(409, "error_conflict", "rows with these timestamps exist")
            case "lost_after_202" if doubled:
                rows = []
            case "insert":
                pass
            case _:
                rows = list(fresh.values())
        channel.waiting.append((now + self.switches.commit_delay_s, rows))
        self._settle(channel)
        return Answer(202, {"success": True})

    def update(self, key: str | None, values: dict[str, str]) -> Answer:
        """Take one row by the single update call; the body is the stored row, or 0."""
        with self._lock:
            channel = next((c for c in self.channels.values() if c.write_key == key), None)
            if channel is None:
                return Answer(400, 0)
            now = self._clock()
            if now - channel.last_update_s < self.switches.update_interval_s:
                if self.switches.update_429:
                    return error(429, "error_too_many_requests", "Too many requests")
                return Answer(200, 0)
            channel.last_update_s = now
            named: dict[str, str] = {_UPDATE_NAMES.get(name, name): v for name, v in values.items()}
            at = named.get("created_at") or self._now()
            row = _row({**named, "created_at": at})
            if row is None:  # the real service replaces what it cannot read by now
                row = _row({**named, "created_at": self._now()})
            assert row is not None  # noqa: S101 - the stamp is ours
            self._store(channel, [row])
            blank = dict.fromkeys((*FIELDS, *_EXTRAS))
            return Answer(200, {"channel_id": channel.id, **blank, **channel.rows[-1]})

    def feeds(self, number: int, key: str | None, query: dict[str, str]) -> Answer:
        """Return the rows of a channel in order of time, at most 8,000."""
        with self._lock:
            channel = self.channels.get(number)
            if channel is None:
                return error(404, "error_resource_not_found", "Resource not found")
            opening = [channel.read_key]
            opening += [] if self.switches.read_key_only else [channel.write_key]
            if key not in opening:
                return error(400, "error_auth_required", "Authorization Required")
            self._settle(channel)
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
        start, end = _instant(query.get("start")), _instant(query.get("end"))
        if start is not None:
            rows = [row for row in rows if row["created_at"] >= _stamp(start)]
        if end is not None:
            rows = [row for row in rows if row["created_at"] <= _stamp(end)]
        wanted = query.get("results", "")
        most = min(int(wanted), MAX_RESULTS) if wanted.isdecimal() else _RESULTS
        names = ["created_at", "entry_id", *channel.labels]
        names += ["status"] if query.get("status") == "true" else []
        names += _EXTRAS[1:] if query.get("location") == "true" else []
        head = {"id": channel.id, "name": channel.name, **channel.labels}
        shown = rows[max(len(rows) - most, 0) :]
        feeds = [{name: row.get(name) for name in names} for row in shown]
        return Answer(
            200, {"channel": {**head, "last_entry_id": channel.last_entry_id}, "feeds": feeds}
        )

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


def _instant(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


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
        at -= float(one["delta_t"])
    return dated[::-1]
