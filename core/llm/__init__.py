"""Language models: providers, keys, prices and the one wire to them."""
