"""How the probed targets are: presence, absence, outages. Pure."""
