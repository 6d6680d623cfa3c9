"""Training of the BPE tokenizer: bounded words, and a process of its own that a signal ends."""
