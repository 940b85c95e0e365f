"""Motion: where each part of a picture was in the picture before, and how the camera moved."""
