"""Promise: the tests bite. Each deliberate defect in ``defects.py`` makes them fail; ``make mutants`` shows it."""
