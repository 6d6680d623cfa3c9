"""The stores of the stage tree: nodes on a disk or at a URL."""
