"""Where the detector keeps what it knows."""
