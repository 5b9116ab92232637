"""The demo: the stack in the lab, what happens there, and whether it went well."""
