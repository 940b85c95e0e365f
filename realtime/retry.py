"""How long to wait before the next try: longer each time, and short again once it has worked."""

from __future__ import annotations


class Backoff:
    """Count the tries that failed in a row."""

    def __init__(self, first_s: float = 0.5, most_s: float = 10.0) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self.tries = 0

    def next_s(self) -> float:
        """Note a failure and return the seconds to wait: twice as long as before, up to a limit."""
        self.tries += 1
        return min(self._first_s * 2.0 ** min(self.tries - 1, 30), self._most_s)

    def reset(self) -> None:
        """Note that it worked."""
        self.tries = 0
