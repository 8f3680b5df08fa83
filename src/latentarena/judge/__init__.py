"""The judge: images and plain arrays in, numbers out."""
