"""Coupons: what there is, who has it, and what it took off which invoice."""
