"""What the notifier writes to: its outbox on disk, and the services that deliver."""
