"""Facts that several services need of machines: who made a network card."""
