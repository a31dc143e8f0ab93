"""One framework per file; imports the client only."""
