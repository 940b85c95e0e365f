"""Is a streaming FastConformer exact, what do its caches save, and does an hour cost what a minute does?"""

from benchmarks._hear_former import add_arguments, run

__all__ = ["add_arguments", "run"]
