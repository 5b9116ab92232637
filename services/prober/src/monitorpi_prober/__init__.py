"""Pings every device: reachability, delay, jitter."""
