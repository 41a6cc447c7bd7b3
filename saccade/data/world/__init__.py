"""A world that labels itself: scenes in space, drawn by ray casting, with every label from the geometry. `world.dataset.world` is the way in."""
