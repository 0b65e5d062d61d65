"""Photo profiles: four ratings of each user."""
