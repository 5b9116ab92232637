"""Where the picture goes: the page, and a dead man's switch."""
