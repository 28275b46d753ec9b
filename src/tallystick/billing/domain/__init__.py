"""What is due when, and how a bill explains itself; pure."""
