"""A local HTTP server that answers as ThingSpeak does, faults included, for tests and the demo."""
