"""What a trained model is used for: samples, interpolation, inpainting, edits, likelihood, the playground."""
