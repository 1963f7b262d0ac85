"""The clock: says when it is time to look whether a hold is due. The log decides whether it is."""
