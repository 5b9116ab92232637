"""Where it is written down: the database."""
