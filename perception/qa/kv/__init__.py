"""Remember a stream as keys and values of a language model, and bring back the part that a question needs."""
