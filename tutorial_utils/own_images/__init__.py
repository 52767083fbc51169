"""Your own images: any number of classes, from a folder to a model file."""
