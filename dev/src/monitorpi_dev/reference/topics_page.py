"""docs/topics.md: every topic, message, part and command."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Final

from monitorpi_common.examples import EXAMPLES
from monitorpi_common.messages import COMMANDS, OFFLINE_EXPIRY_S, OWNED, SHARED, STATUS
from monitorpi_dev.reference.tables import NOTICE, field_table, first_sentence, paragraphs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel

    from monitorpi_common.messages import Delivery

_DAY_S: Final = 86400


def topics() -> str:
    """Build docs/topics.md."""
    lines = [
        "# Topics",
        "",
        f"<!-- {NOTICE} -->",
        "",
        "Every topic is `monitorpi/v1/{site}/{service}/{kind}/{id}`; payloads are JSON but for the",
        "status. A service writes under its own name only. Times are UTC RFC 3339 with",
        "milliseconds, units stand in the names, a count that is absent is 0, and a reader ignores",
        "what it does not know.",
        "",
        "| topic | what | QoS | retained | expires | rate |",
        "|---|---|---|---|---|---|",
    ]
    for kind in (*OWNED, *SHARED):
        service = kind.SERVICE.value if kind.SERVICE else "*"
        lines.append(
            _row(f"{service}/{kind.KIND}/{{{kind.ID}}}", first_sentence(kind), kind.DELIVERY)
        )
    what = f"`online` or `offline`; `offline` expires after {OFFLINE_EXPIRY_S // _DAY_S} days."
    lines.append(_row("*/status/{instance}", what, STATUS))
    for kind in (*OWNED, *SHARED):
        lines += ["", f"## {kind.__name__}", "", *paragraphs(kind), "", *field_table(kind)]
        topic, message = next((t, m) for t, m in EXAMPLES if type(m) is kind)
        payload = json.dumps(json.loads(message.encode()), indent=2, ensure_ascii=False)
        lines += ["", f"Example, on `{topic}`:", "", "```json", payload, "```"]
    lines += ["", "## Parts", ""]
    for part in _parts():
        lines += [f"### {part.__name__}", "", *paragraphs(part), "", *field_table(part), ""]
    lines += ["## Commands", "", "Sent to `{service}/command/{any id}`; the answer has the id.", ""]
    for service, commands in COMMANDS.items():
        for name, args in commands.items():
            lines += [f"### {service.value}: `{name}`", "", *paragraphs(args), ""]
            lines += [*field_table(args), ""] if args.model_fields else []
    return "\n".join(lines).rstrip() + "\n"


def _row(topic: str, what: str, delivery: Delivery) -> str:
    retained = "yes" if delivery.retain else "no"
    expires = _duration(delivery.expiry_s)
    return f"| `{topic}` | {what} | {delivery.qos} | {retained} | {expires} | {delivery.rate} |"


def _duration(seconds: int | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds // _DAY_S} d" if seconds >= 2 * _DAY_S else f"{seconds} s"


def _parts() -> list[type[BaseModel]]:
    """Return the models used inside messages, each once, in the order they appear."""
    found: dict[str, type[BaseModel]] = {}
    waiting: list[type[BaseModel]] = [*OWNED, *SHARED]
    while waiting:
        kind = waiting.pop(0)
        for part in _models_in(kind):
            if part.__name__ not in found:
                found[part.__name__] = part
                waiting.append(part)
    return list(found.values())


def _models_in(kind: type[BaseModel]) -> Iterator[type[BaseModel]]:
    module = sys.modules[kind.__module__]
    for field in kind.model_fields.values():
        for name in re.findall(r"\b[A-Z]\w+\b", str(field.annotation)):
            part = getattr(module, name, None)
            if isinstance(part, type) and hasattr(part, "model_fields") and part is not kind:
                yield part
