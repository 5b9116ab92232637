"""The whole stack on this machine: broker, services, and who looks at them."""
