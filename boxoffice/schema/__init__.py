"""What is documented out of the definitions: all messages and requests, settings, errors, problems.

The checked-in copies lie in ``docs/``; a test compares them, and ``boxoffice schema --write docs``
makes them again.
"""

from boxoffice.schema.asyncapi import asyncapi, internal_asyncapi
from boxoffice.schema.files import documents, write_docs
from boxoffice.schema.openapi import openapi
from boxoffice.schema.payloads import json_schemas

__all__ = ["asyncapi", "documents", "internal_asyncapi", "json_schemas", "openapi", "write_docs"]
