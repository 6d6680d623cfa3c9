"""Update: optimizers, hand-over between stages, regularizers."""
