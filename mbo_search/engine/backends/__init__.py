"""Where trials run: this process, a watchdog beside it, or Ray."""
