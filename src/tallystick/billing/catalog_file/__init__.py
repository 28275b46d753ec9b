"""The catalog as one YAML file: written, read with every mistake named at its line, compared, applied, rolled back.

    reading.py    text → nodes that know their line and column; no type is guessed, no digit lost
    sections.py   the kinds of things a file holds, and which request body describes each: the one place for a new kind
    checking.py   nodes → a catalog, or every mistake with its place
    writing.py    a catalog → text that reads well and never differs for the same catalog
    comparing.py  two catalogs → what is added, changed, retired, left alone
    revenue.py    what a change is worth a month
    queries.py    the catalog as it is, who is touched, what was applied before
    service.py    diff, apply, rollback

It lies in billing because a file holds plans, meters, services and taxes at once, and billing sees them all. See docs/catalog-file.md.
"""
