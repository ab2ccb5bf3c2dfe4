"""What the patterns cost, beside the libraries that people use for the same."""
