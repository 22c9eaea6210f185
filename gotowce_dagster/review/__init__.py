"""The review room: what humans see and say about labels, in Label Studio."""
