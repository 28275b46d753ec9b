"""What an invoice is before anyone stores it."""
