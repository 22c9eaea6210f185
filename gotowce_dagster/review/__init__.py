"""Human review of labels in Label Studio."""
