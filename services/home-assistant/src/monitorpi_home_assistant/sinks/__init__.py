"""What this service keeps on disk."""
