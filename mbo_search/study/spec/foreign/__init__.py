"""What a study says to a trainer that is not ours: who it is, and settings of its own."""
