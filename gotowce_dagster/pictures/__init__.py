"""Pictures for people: overlays, contact sheets, reports."""
