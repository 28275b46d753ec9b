"""Who may do what: users, their roles, API keys."""
