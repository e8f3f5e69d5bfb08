"""The rules of the checker: each module judges one of the guarantees and returns Violations."""
