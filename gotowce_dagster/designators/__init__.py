"""The method: what a target designator looks like, how it is learned and found."""
