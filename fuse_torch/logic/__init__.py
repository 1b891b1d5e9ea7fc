"""Logic in torch: rules run in the NumPy engine, between two graphs or behind an operator."""
