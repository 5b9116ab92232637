"""Runs, tests and demonstrates the whole stack."""
