"""Ways to count live frames: in the kernel, or read from packet sockets. I/O."""
