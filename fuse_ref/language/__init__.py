"""Text -> syntax tree -> text."""
