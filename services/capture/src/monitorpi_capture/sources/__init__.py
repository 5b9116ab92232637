"""Where items come from: the engine's windows, frames about devices, samples, files. I/O."""
