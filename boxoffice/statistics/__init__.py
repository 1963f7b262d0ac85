"""The statistics process: figures of each event, folded from the ledger, kept in a Faust table, and published."""
