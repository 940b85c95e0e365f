"""A small FastConformer that hears this program's own words from synthetic voices: a fixture, not a product."""
