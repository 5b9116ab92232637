"""Counting in the kernel, by a socket filter in eBPF. I/O."""
