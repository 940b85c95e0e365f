"""Several processes behind one address: workers that paint, and a front that knows which session is where."""
