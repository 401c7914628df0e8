"""HTML reports about a run or about a journal."""
