"""Small models that ship with the package: weights, model card, and the recipe that makes them."""
