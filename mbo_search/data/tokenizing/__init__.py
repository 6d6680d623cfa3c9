"""Around the tokenizer: training one in its own process, refusing what does not fit, converting foreign formats."""
