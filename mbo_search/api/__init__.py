"""Door: the few functions and values that people use from Python; the command line is a client of them."""
