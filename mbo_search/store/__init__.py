"""Keep: the nodes of the stage tree, on a disk or behind a URL."""
