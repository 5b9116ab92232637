"""Where others ask: the queries, over HTTP."""
