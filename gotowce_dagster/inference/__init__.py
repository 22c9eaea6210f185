"""Inference with a trained model: predictions on videos and images, tracks, and the model card."""
