"""Who did what to which object, kept so that nobody can change it unseen."""
