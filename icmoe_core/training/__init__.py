"""Training: everything that happens between labelled slices and an expert file."""
