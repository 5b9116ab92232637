"""``sites``: all sites that a broker is told of, one line each."""
