"""Capture files: pcap and pcapng, frame by frame, as windows in the file's own time. I/O."""
