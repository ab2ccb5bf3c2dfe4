"""What it costs to be watched: ``make bench-doctor``."""
