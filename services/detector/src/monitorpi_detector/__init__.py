"""Raises an alert when a flood begins and names the MAC address it comes from."""
