"""What the page's script knows of single schedules: their curves, their seeds, and their way through the stages."""
