"""Commands of billing.

book.py       what a batch of accounts is billed by: subscriptions, plans, prices, taxes, in a constant number of statements
dues.py       what one bill covers: parts of subscriptions, months of recorded usage
recorded.py   recorded usage, counted by month, service and price
collect.py    all of it counted and put into `Inputs`
renewal.py    the one function that bills a batch of accounts
runs.py       billing runs: request, claim, progress, parking
ranges.py     an invoice for a range, and previews
current.py    the current bill, priced so far
explaining.py why a line costs what it costs, and whether it still does
verdicts.py   what became of an event
clocks.py     advancing a test clock
closing.py    closing an account
loading.py    a month of somebody's usage, loaded and billed (demo, usage import)
"""
