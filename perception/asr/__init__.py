"""Streaming speech recognition: from sound of any source to words with times."""
