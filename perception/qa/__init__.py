"""Answer questions about a stream: what was seen and heard, from a memory that stays bounded."""
