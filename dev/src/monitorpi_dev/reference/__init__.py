"""The generated files, made from the message classes and settings models alone. Pure."""
