"""Page images to vision tokens: cut a page into views, then run SAM, CLIP and the projector."""
