"""The outbox on a disk that gets full while a message is on its way: none is lost, none doubled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.disks import leave_no_room, small_memory
from tests.notifier.counterparts import WebHook
from tests.notifier.test_postbox import Rig

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(("status", "expected"), [(200, [True]), (503, [False, True])])
def test_what_became_of_a_message_outlives_a_full_disk(
    tmp_path: Path, status: int, expected: list[bool]
) -> None:
    """Nothing can be noted: delivered, it is not sent again; refused, it is, once there is room."""
    with small_memory(tmp_path / "small", 512) as disk, WebHook() as web:
        web.statuses = [status]
        rig = Rig(disk, desk=f"json://127.0.0.1:{web.port}/hook")
        rig.add(1)
        assert rig.postbox.step(rig.attempts.append)
        filler = leave_no_room(disk, lambda number: rig.outbox.remember({"filled": number}))
        rig.work(60)
        assert rig.attempts == []

        filler.unlink()
        rig.work(60)

        assert rig.outbox.counts() == {}
        assert [one.is_delivered for one in rig.attempts] == expected
        assert len(web.taken) == 1
        assert "already" not in web.taken[0]["message"]
        rig.close()
