"""Documents: a PDF for each ticket that was sold, drawn beside the sale and never in its way."""
