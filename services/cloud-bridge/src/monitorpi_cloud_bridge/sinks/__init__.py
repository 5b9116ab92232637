"""Where rows go: the outbox on disk, the clouds, and the thread between them."""
