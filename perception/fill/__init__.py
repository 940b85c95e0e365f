"""Pictures between paintings: the newest painting, moved to where things are by now."""
