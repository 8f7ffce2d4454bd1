"""Meta's SAM API: `POST /v1/responses`, answered by whatever SAM 3 is loaded."""
