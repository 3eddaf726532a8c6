"""The page for people: static files, and what they ask for beyond the HTTP API."""
