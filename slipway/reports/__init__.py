"""What a user reads: terminal and JSON. Reports arrange figures; they compute none."""
