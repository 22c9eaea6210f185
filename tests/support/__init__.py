"""What tests and benchmarks make for themselves."""
