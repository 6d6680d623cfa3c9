"""What a study, a schedule and its stages are: frozen values, their keys and their clocks."""
