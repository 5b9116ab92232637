"""Remembers what was counted, probed and told, for years, in a file of bounded size."""
