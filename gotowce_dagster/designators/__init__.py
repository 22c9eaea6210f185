"""The method: what a game's designator looks like, learned from a few boxes."""
