"""``./monitorpi doctor``: a file per thing that is looked at."""
