"""``install``, ``uninstall`` and ``status``: MonitorPi as a service of systemd."""
