"""Measurements, each against something that knows the truth."""
