"""Alerts that reach people: what is sent to whom, when, and exactly once."""
