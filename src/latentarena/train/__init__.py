"""Training: one loop on Lightning Fabric, its checkpoints and logs, and the recipes that drive it."""
