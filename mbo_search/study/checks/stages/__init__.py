"""Rules of the further settings of a stage, one module each."""
