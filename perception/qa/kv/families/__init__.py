"""Families of video models: for each, how a picture becomes tokens and where those lie."""
