"""What the rules look at: windows, rounds and devices, prepared. Pure."""
