"""What tests stand on: servers, the product as an operator runs it, and the independent checker."""
