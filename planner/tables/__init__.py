"""Answers as tables, for spreadsheets and slides: columns with units and rows made once, written as CSV or Markdown."""
