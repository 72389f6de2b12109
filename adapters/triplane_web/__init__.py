"""The operators' page: a dashboard in the browser, served by the gateway itself at `/ui/`."""

from triplane_web.adapter import WebAdapter

__all__ = ["WebAdapter"]
