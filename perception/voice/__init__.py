"""Voice steering: a grammar made from the settings and the painter's words, and what is heard in it."""
