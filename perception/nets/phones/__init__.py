"""A network that hears phones, and what it learnt of noise."""
