"""What becomes of findings: alerts that open, last, close and fold into each other. Pure."""
