"""Clients of Kafka beside Faust's own, and what lies on the topics."""
