"""Settings read from files: params.yaml, the project and its engines."""
