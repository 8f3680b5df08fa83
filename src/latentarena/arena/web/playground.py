"""Where the playground is mounted: sampling entries in the page, by processes of their own."""

from __future__ import annotations

from fastapi import APIRouter

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
