"""A simulated week of a home: what MonitorPi's cores tell of it, and the reason for each alert."""
