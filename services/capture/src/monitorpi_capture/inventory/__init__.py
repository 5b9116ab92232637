"""The devices of the LAN: who is one, which addresses are whose, who routes. Pure."""
