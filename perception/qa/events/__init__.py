"""Remember what sessions tell as events, and answer questions about them: no model, nothing to fetch."""
