"""Requests on the wire, sweeps, names: everything of the prober with I/O."""
