"""What each command does and how it shows it; ``cli.py`` holds their options only."""
