"""The latent model: its configuration, its modules, how it is sampled."""
