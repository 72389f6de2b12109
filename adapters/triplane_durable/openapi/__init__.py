"""The OpenAPI document of this wire: every route with its parameters, body, answers and refusals."""

from triplane_durable.openapi.document import document

__all__ = ["document"]
