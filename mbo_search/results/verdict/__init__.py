"""The verdict, its sentence, and the next step."""
