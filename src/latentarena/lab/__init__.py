"""The public Python API behind `import latentarena as la`: what the command line does, and the pieces alone."""
