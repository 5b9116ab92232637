"""What Linux offers a capture: interfaces, packet sockets, an event to wait for. I/O."""
