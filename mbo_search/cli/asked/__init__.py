"""What was asked on a command line, and what is answered where that is wrong."""
