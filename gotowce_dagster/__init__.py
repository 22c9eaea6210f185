"""Turn the designator a game draws around its target into a trained detector."""
