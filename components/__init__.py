"""Resources: one ComponentResource a file, and under `targets` the three ways to put them together."""
