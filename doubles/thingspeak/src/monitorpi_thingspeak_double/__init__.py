"""A local HTTP server that answers as ThingSpeak does, faults included, for tests and the demo."""

from monitorpi_thingspeak_double.channels import Channel, Switches
from monitorpi_thingspeak_double.cloud import Cloud
from monitorpi_thingspeak_double.server import Double

__all__ = ["Channel", "Cloud", "Double", "Switches"]
