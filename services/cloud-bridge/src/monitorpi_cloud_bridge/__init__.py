"""Relays chosen values to ThingSpeak without losing or doubling a row."""
