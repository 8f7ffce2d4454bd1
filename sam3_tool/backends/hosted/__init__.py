"""SAM 3 at its owner's, or at any other server that speaks Meta's SAM API: a client of the Responses API."""
