"""The builders of scenes, one file a world."""
