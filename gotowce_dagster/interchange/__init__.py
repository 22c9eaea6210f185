"""Labels in the formats of other tools: export, one module per format, and import of ground truth."""
