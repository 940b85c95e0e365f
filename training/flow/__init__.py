"""Films whose optical flow is known exactly, and what is trained and judged on them."""
