"""How the embedded streaming detector is made: drawn worlds that move, training, evaluation, export."""
