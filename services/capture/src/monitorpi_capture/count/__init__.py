"""Frames added up: rows of a window, who gets one, copies, and what is published of them. Pure."""
