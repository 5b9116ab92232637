"""A LAN in network namespaces on one machine: its switch, its hosts, what they send."""
