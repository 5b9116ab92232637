"""What developers measure and check with; a Pi runs without it."""
