"""Using a trained model: predictions on videos and pictures, tracks, other runtimes, its card."""
