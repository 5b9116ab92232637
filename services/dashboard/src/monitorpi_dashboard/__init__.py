"""One local page with everything MonitorPi knows, live."""
