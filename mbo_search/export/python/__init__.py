"""A trial as one file of plain PyTorch, with its tokens beside it."""
