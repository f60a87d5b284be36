"""The files beside an exported model, generated so that nobody has to type numbers again."""
