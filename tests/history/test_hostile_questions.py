"""Whatever is asked, in whatever words: an answer or a refusal, and no failure of ours."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest
from tests.history.world import NOON, World, alert, device, mac

from monitorpi_history.sources.web import WebServer

if TYPE_CHECKING:
    from pathlib import Path

REQUESTS: Final = 1000
BEGIN: Final = int(NOON.timestamp())
QUESTIONS: Final = (
    f"/v1/traffic?from={BEGIN}&to={BEGIN + 60}&mac={mac(1)}&columns=tx_syn&step=10",
    f"/v1/wire?from={BEGIN}&to={BEGIN + 60}&interface=eth0&points=9&peaks=true&format=csv",
    f"/v1/exceedances?from={BEGIN}&to={BEGIN + 60}&column=tx_syn&level=1.5&quiet_s=15&limit=9",
    f"/v1/exceedances?from={BEGIN}&column=syn&level=1&mac={mac(1)}&format=jsonl",
    "/v1/probes?from=2026-03-01T12:00:00Z&to=2026-03-01T12:01:00Z&address=192.168.1.10",
    f"/v1/alerts?from=-6h&to=now&rule=syn-flood&mac={mac(1)}&limit=5",
    f"/v1/changes?from=-30d&subject={mac(1)}&limit=5&format=jsonl",
    "/v1/devices?format=csv",
    "/v1/state?x=1",
    "/v1/openapi.json",
)
ODD: Final = (
    "", "0", "-1", "9" * 40, "1e309", "nan", "%00", "%ff", "&", "=", "=&", "'", '"', "now-",
    "-999999999y", "%E2%80%AE", "../", "from", "%s", "[]", "0x1", "1_0", "\u0663",
)  # fmt: skip


def mutated(rnd: random.Random) -> str:
    """Return a question in which some things are not as they should be."""
    text = rnd.choice(QUESTIONS)
    for _ in range(rnd.randint(1, 3)):
        at = rnd.randrange(4, len(text) + 1)
        match rnd.randrange(4):
            case 0:
                text = text[:at] + rnd.choice(ODD) + text[at:]
            case 1:
                text = text[:at] + text[at + rnd.randint(1, 8) :]
            case 2:
                text = text[:at] + chr(rnd.randrange(32, 127)) + text[at + 1 :]
            case _:
                text += "&" + rnd.choice(QUESTIONS).partition("?")[2]
    return text


@pytest.mark.timeout(240)
def test_no_question_is_answered_by_a_failure_of_ours(tmp_path: Path) -> None:
    """Refused in words, and a good question is answered afterwards."""
    world = World(tmp_path)
    world.hand(device(1, hostname="lamp"), "x")
    world.hand(alert(NOON), "x")
    world.live(40)
    list(world.core.close())
    world.archive.close()
    failures, statuses, last = asyncio.run(_ask(WebServer(world.file, "127.0.0.1", 0)))

    assert failures == {}
    assert statuses >= {200, 400, 404}
    assert last["exceedances"]


async def _ask(server: WebServer) -> tuple[dict[str, int], set[int], Any]:
    """Ask, and return what failed, each status there was, and the answer to a good question."""
    rnd = random.Random(31)  # noqa: S311 - of a test
    failures, statuses = {}, set()
    way = httpx.ASGITransport(server.app())
    async with httpx.AsyncClient(transport=way, base_url="http://127.0.0.1") as client:
        for _ in range(REQUESTS):
            question = mutated(rnd).replace("#", "")
            answer = await client.get(question)
            statuses.add(answer.status_code)
            if answer.status_code >= 500:
                failures[question] = answer.status_code
        return failures, statuses, (await client.get(QUESTIONS[2])).json()
