"""Teaching the phone network of the package `hama` what speech sounds like in noise."""
