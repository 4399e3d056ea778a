"""The autograd engine: NumPy, and nothing else."""
