"""``./monitorpi export``: what the history remembers, as lines for other programs."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import httpx

from monitorpi_cli.arguments import joined
from monitorpi_cli.stack.running import NoStackError, find_running
from monitorpi_cli.stack.viewer import Viewer
from monitorpi_common.messages import Health, Service
from monitorpi_common.settings import ConfigurationError, load
from monitorpi_common.topics import pattern
from monitorpi_history.settings import HistorySettings, history_url

if TYPE_CHECKING:
    from collections.abc import Sequence

KINDS: Final = ("devices", "alerts", "changes", "traffic", "wire", "probes")
_LISTS: Final = ("alerts", "changes")
_SERIES: Final = ("traffic", "wire", "probes")
_MOST_POINTS: Final = 20_000
_MOST_ROWS: Final = 10_000
_ANSWER_S: Final = 5.0
_READ_S: Final = 120.0
"""Until the next bytes: a slow card, and others who ask."""
_OK, _REFUSED, _USAGE, _RESOURCE = 0, 1, 2, 3


class _FailedError(Exception):
    """Nothing can be exported; the text says why and what to do."""


def main(argv: Sequence[str]) -> int:
    """Write what was asked for to standard output or a file; 1 refused, 3 nobody answers."""
    options = _parser().parse_args(joined(argv, "--from", "--to"))
    try:
        url = options.url or _find(options.config)
        with ExitStack() as stack:
            out: BinaryIO = sys.stdout.buffer
            if options.output is not None:
                out = stack.enter_context(options.output.open("wb"))
            _copy(f"{url.rstrip('/')}/v1/{options.kind}", _question(options), out)
    except ConfigurationError as error:
        for line in error.lines:
            print(f"monitorpi export: configuration: {line}", file=sys.stderr)
        return _USAGE
    except _FailedError as error:
        print(f"monitorpi export: {error}", file=sys.stderr)
        return _REFUSED
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        print(
            f"monitorpi export: the history does not answer at {url} "
            f"({error or type(error).__name__}): ./monitorpi up runs it; --url names another one",
            file=sys.stderr,
        )
        return _RESOURCE
    except OSError as error:
        print(f"monitorpi export: {error.filename or 'output'}: {error.strerror}", file=sys.stderr)
        return _RESOURCE
    return _OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./monitorpi export",
        description="Write what the history remembers, as CSV or a JSON object a line.",
        epilog="A moment is 2026-03-01T12:00:00Z, seconds since 1970, now, or how long ago: -6h, "
        "-30d (s, m, h, d, w, y).",
    )
    parser.add_argument("kind", choices=KINDS, help="what to write")
    parser.add_argument("--from", dest="from_", metavar="MOMENT", help="beginning (default -24h)")
    parser.add_argument("--to", metavar="MOMENT", help="end (default now)")
    parser.add_argument("--format", choices=("csv", "jsonl"), default="csv")
    parser.add_argument(
        "--step",
        type=int,
        metavar="SECONDS",
        help="of a line of counts, such as 10, 60, 3600; by default as fine as is kept",
    )
    parser.add_argument("--mac", help="of this device alone (traffic, alerts, changes)")
    parser.add_argument("--interface", help="of this interface alone (traffic, wire)")
    parser.add_argument("--address", help="of this target alone (probes, changes)")
    parser.add_argument("--columns", help="names with commas (traffic, wire)")
    parser.add_argument("--peaks", action="store_true", help="the most of ten seconds, too")
    parser.add_argument("--output", type=Path, metavar="FILE", help="by default standard output")
    parser.add_argument("--url", help="where the history answers; by default as it says itself")
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file with the settings")
    return parser


def _question(options: argparse.Namespace) -> dict[str, str]:
    """Return the parameters of the query; what does not belong to a kind is refused there."""
    asked: dict[str, object] = {
        "from": options.from_, "to": options.to, "format": options.format, "step": options.step,
        "mac": options.mac, "interface": options.interface, "address": options.address,
        "columns": options.columns,
    }  # fmt: skip
    if options.kind == "changes":
        asked["subject"] = asked.pop("mac") or asked.pop("address")
    if options.kind in _SERIES:
        asked["points"] = _MOST_POINTS
        asked["peaks"] = "true" if options.peaks else None
    if options.kind in _LISTS:
        asked["limit"] = _MOST_ROWS
    return {name: str(value) for name, value in asked.items() if value is not None}


def _find(config: Path | None) -> str:
    """Return where the history of this machine answers: as it says on the bus, or as configured."""
    try:
        running = find_running(config)
    except NoStackError:
        settings = load(Service.HISTORY, HistorySettings, file=config).section
        return history_url(settings.listen, settings.port)
    wanted = pattern(running.site, Service.HISTORY.value, Health.KIND)
    with Viewer(running.account("viewer"), [wanted]) as viewer:
        arrival = viewer.next(_ANSWER_S)
    message = arrival.message() if arrival is not None else None
    if not isinstance(message, Health) or not isinstance(message.detail.get("url"), str):
        raise _FailedError("the history does not run here: look at its last log lines")
    return str(message.detail["url"])


def _copy(url: str, asked: dict[str, str], out: BinaryIO) -> None:
    """Copy an answer as it comes.

    Raises:
        _FailedError: the question was refused.

    """
    timeout = httpx.Timeout(_ANSWER_S, read=_READ_S)
    with (
        httpx.Client(timeout=timeout, trust_env=False) as web,
        web.stream("GET", url, params=asked) as answer,
    ):
        if answer.status_code != httpx.codes.OK:
            raise _FailedError(_why(answer.read(), answer.status_code))
        out.writelines(answer.iter_bytes())
        out.flush()


def _why(body: bytes, status: int) -> str:
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return f"the history answers HTTP {status}"
