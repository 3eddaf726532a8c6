"""Every encoder beside every other: cells, strangers, the table and its gate."""
