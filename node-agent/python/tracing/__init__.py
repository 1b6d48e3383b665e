"""From PyTorch to a graph of core ATen operations with symbolic shapes. Needs torch (1.13 or newer) and nothing else."""
