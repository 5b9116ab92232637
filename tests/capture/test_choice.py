"""Which engine counts: the one that is wanted, or the best that works."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from monitorpi_capture.engine import choice
from monitorpi_capture.items import EngineRefusedError
from monitorpi_capture.settings import CaptureSettings
from monitorpi_common.service import ResourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Made:
    """An engine that works, or refuses."""

    def __init__(self, name: str, why: str | None, names: Sequence[str], most: int) -> None:
        self.name, self.why, self.made_for = name, why, (list(names), most)
        self.is_open = False

    def open(self) -> None:
        """Begin to count."""
        if self.why is not None:
            raise EngineRefusedError(self.why)
        self.is_open = True


def there(monkeypatch: pytest.MonkeyPatch, **engines: str | None) -> None:
    """Have these engines, the best first, with why they refuse."""

    def making(name: str, why: str | None) -> Callable[..., Made]:
        return lambda names, most: Made(name, why, names, most)

    made = {name: making(name, why) for name, why in engines.items()}
    monkeypatch.setattr(choice, "BEST_FIRST", made)


@pytest.mark.parametrize(
    ("engine", "may_attach", "found", "refused"),
    [
        ("auto", True, "ebpf", {"tcx": "no right"}),
        ("auto", False, "ebpf", {}),
        ("socket", True, "socket", {}),
    ],
)
def test_the_best_engine_that_works_counts(
    monkeypatch: pytest.MonkeyPatch, engine: Any, may_attach: bool, found: str,
    refused: dict[str, str],
) -> None:  # fmt: skip
    """Why a better one does not is told, but of one that nobody gave the right for."""
    there(monkeypatch, tcx="no right", ebpf=None, socket=None)
    monkeypatch.setattr(choice, "may_attach", lambda: may_attach)

    one, why = choice.open_engine(["eth0"], CaptureSettings(engine=engine, max_macs=1000))

    assert isinstance(one, Made)
    assert (one.name, one.is_open, one.made_for, why) == (found, True, (["eth0"], 1000), refused)


def test_where_no_engine_works_each_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one that is wanted and not there as well."""
    there(monkeypatch, ebpf="old kernel", socket="no right")
    with pytest.raises(ResourceError) as raised:
        choice.open_engine(["eth0", "eth1"], CaptureSettings())
    assert str(raised.value) == (
        "no frames can be counted on eth0, eth1: engine ebpf: old kernel; engine socket: no right"
    )

    with pytest.raises(ResourceError) as raised:
        choice.open_engine(["eth0"], CaptureSettings(engine="tcx"))
    assert str(raised.value) == (
        "no frames can be counted on eth0: "
        "engine tcx: is not part of this installation: set capture.engine to auto"
    )
