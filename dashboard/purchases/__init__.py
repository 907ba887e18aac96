"""Everything that spends money or changes a booking at the provider (reliability.md 4.1 to 4.4).

`intents` writes what a person wants, `sending` sends it at most once, `settling` finds out what became of it,
`sweeping` picks up what a lost queue or a dead worker left; `transitions` is the only way a purchase moves.
"""
