"""How the embedded painter is made: pictures, looks, autoencoder, translator, tuning, export, evaluation."""
