"""Where people review a finished run: a page on this computer, a workbook, or an edited FlowJo workspace."""
