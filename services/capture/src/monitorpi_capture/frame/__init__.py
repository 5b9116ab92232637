"""What one frame is and what it says: classes, link layers, devices it is about. Pure."""
