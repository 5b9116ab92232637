"""Counts every frame of a mirror port per MAC address and protocol class."""
