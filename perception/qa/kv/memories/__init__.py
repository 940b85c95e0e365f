"""Remember a stream as a fixed number of visual tokens, which the plain model reads with each question."""
