"""The way from a site's own broker to one of several sites: a bridge of Mosquitto. Pure.

Mosquitto keeps the connection, comes back to it, and passes on what is retained whenever it does;
what is not retained waits in its memory. Everything goes out and nothing comes in: nobody at the
centre can give a site orders. Times of expiry travel with MQTT 5 only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitorpi_common.clientid import client_id
from monitorpi_common.endpoint import SYSTEM_AUTHORITIES, Keys
from monitorpi_common.messages import Rollup, Service
from monitorpi_common.settings import authority
from monitorpi_common.topics import ROOT, VERSION

if TYPE_CHECKING:
    from monitorpi_common.settings import CentreSettings

LINKS: Final = "monitorpi-sites"
"""Below it stands, retained, whether a site is connected: ``{site}/link`` is ``1`` or ``0``."""
AUTHORITY: Final = "centre-ca.pem"
CENTRE_KEYS: Final = Keys.of_broker("broker.centre")
"""What its settings are called where a remedy names them."""
_KEEPALIVE_S: Final = 10
_RETRY_S: Final = (1, 30)


ROLLUPS: Final = f"{Service.CLOUD_BRIDGE.value}/{Rollup.KIND}/+"


def passed_on(settings: CentreSettings) -> tuple[str, ...]:
    """Return the filters below the site of all that the centre is told, each once."""
    rollups = (ROLLUPS,) if settings.rollup_s else ()
    return tuple(dict.fromkeys([*settings.topics, *rollups]))


@dataclass(frozen=True, slots=True)
class Centre:
    """A central broker, and the site that it is told of."""

    site: str
    settings: CentreSettings

    @property
    def username(self) -> str:
        """The user there: by default each site has one of its name."""
        return self.settings.username or self.site

    def lines(self, folder: str, reader: str) -> list[str]:
        """Return the section of Mosquitto's configuration.

        Args:
            folder: where the file of its certificate authority was put.
            reader: the account of the own broker that may read what is passed on.

        """
        there = self.settings
        password = there.password.get_secret_value() if there.password else None
        root = f"{ROOT}/{VERSION}/{self.site}"
        lines = [
            "# the broker of several sites",
            "connection centre",
            f"address {authority(there.host, there.port)}",
            "bridge_protocol_version mqttv50",
            f"remote_clientid {client_id(f'monitorpi-{self.site}', password)}",
            f"remote_username {self.username}",
            f"local_username {reader}",
            f"keepalive_interval {_KEEPALIVE_S}",
            f"restart_timeout {_RETRY_S[0]} {_RETRY_S[1]}",
            "cleansession false",
            "try_private false",
            f"notification_topic {LINKS}/{self.site}/link",
            "notifications_local_only false",
            *(f"topic {root}/{filter_} out 1" for filter_ in passed_on(there)),
        ]
        if password is not None:
            lines.append(f"remote_password {password}")
        if there.tls:
            authorities = f"{folder}/{AUTHORITY}" if there.tls_ca else SYSTEM_AUTHORITIES
            lines.append(f"bridge_cafile {authorities}")
        return lines
