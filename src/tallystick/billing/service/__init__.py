"""Commands of billing.

book.py       what a batch of accounts is billed by: subscriptions, plans, prices, taxes, read in a constant number of statements
collect.py    what is due, counted and put into `Inputs`
renewal.py    the one function that bills a batch of accounts
runs.py       billing runs: request, claim, progress, parking
ranges.py     an invoice for a range, and previews
explaining.py why a line costs what it costs, and whether it still does
clocks.py     advancing a test clock
closing.py    closing an account
"""
