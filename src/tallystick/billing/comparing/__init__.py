"""The dry run of a backfill: what would be billed with it, beside what will be billed without.

diff.py     commits the backfill in a transaction that is undone, and looks at the accounts' bills before and after
stands.py   what accounts' next bills and open periods come to, price by price
"""
