"""What asks the cloud itself, with the caller's own credentials; nothing else in the house does."""
