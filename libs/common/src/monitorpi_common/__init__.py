"""What every MonitorPi service shares: the message contract, the bus and the service shell."""

__version__ = "0.1.0"
