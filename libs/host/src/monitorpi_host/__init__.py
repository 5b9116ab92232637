"""What a machine knows of itself and its LAN: interfaces, routes, ports, makers of cards."""
