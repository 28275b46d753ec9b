"""What falls into closed periods: late events, voids, and whatever else changes what a period counts.

sweep.py      looks at what arrived, once, and marks what came too late; says up to which batch a bill counts
recount.py    counts marked periods again when their account's next bill is made, and gathers what stands of them
noting.py     corrections that the invoice cannot take become credit notes
telling.py    what became of an event that came too late
"""
