"""Which Google Cloud project and region this is (R27)."""

from __future__ import annotations

import os

from common.errors import Misconfigured

DEFAULT_REGION = "asia-south1"


class GCPClient:
    """The project's identity, from the environment; nothing is asked of the metadata server."""

    def get_project_id(self) -> str:
        """The project's id.

        Raises:
            Misconfigured: ``GOOGLE_CLOUD_PROJECT`` is not set.
        """
        project = os.environ.get("GOOGLE_CLOUD_PROJECT", "")
        if not project:
            raise Misconfigured("GOOGLE_CLOUD_PROJECT is not set")
        return project

    def get_region(self) -> str:
        """The region, Mumbai unless ``GOOGLE_CLOUD_REGION`` says otherwise."""
        return os.environ.get("GOOGLE_CLOUD_REGION") or DEFAULT_REGION
