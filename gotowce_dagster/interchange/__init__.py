"""Labels in the formats of other tools: one file a format, written and, for ground truth, read."""
