"""The catalogue: names, settings, ranges, reference learning rates, costs and papers. Data only."""
