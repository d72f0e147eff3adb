"""Pages for a browser that stand alone: the one that lets a device in."""
