"""For tests of cores: hand in items, look at what comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitorpi_common.messages import Foreign, Message, Publication, Tombstone
from monitorpi_common.service import Received
from monitorpi_common.topics import Topic

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitorpi_common.service import Core


def received(message: Message, id_: str, *, site: str = "lab", retained: bool = False) -> Received:
    """Wrap a message as if its own service had published it."""
    if message.SERVICE is None:
        raise ValueError(f"{type(message).__name__} has no service of its own: build a Received")
    return Received(Topic(site, message.SERVICE.value, message.KIND, id_), message, retained)


def drive(core: Core, items: Iterable[object]) -> list[Publication | Tombstone | Foreign]:
    """Hand all items to the core and return everything it published, in order."""
    return [published for item in items for published in core.handle(item)]


def messages(published: Iterable[Publication | Tombstone | Foreign]) -> list[Message]:
    """Keep the messages, without their topics and without what was taken back."""
    return [one.message for one in published if isinstance(one, Publication)]
