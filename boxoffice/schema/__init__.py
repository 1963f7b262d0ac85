"""What is documented out of the definitions: JSON Schemas and AsyncAPI of all messages, settings, errors.

The checked-in copies lie in ``docs/``; a test compares them, and ``boxoffice schema --write docs``
makes them again.
"""

from boxoffice.schema.asyncapi import asyncapi, internal_asyncapi
from boxoffice.schema.files import documents, write_docs
from boxoffice.schema.payloads import json_schemas

__all__ = ["asyncapi", "documents", "internal_asyncapi", "json_schemas", "write_docs"]
