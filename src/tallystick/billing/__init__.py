"""Where the parts meet: renewal, runs, previews, priced usage, verdicts, explanations, closing an account, advancing clocks."""
