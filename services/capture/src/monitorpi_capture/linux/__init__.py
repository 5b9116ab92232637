"""What a capture asks of Linux: which interfaces, packet sockets, an event to wait for. I/O."""
