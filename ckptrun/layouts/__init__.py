"""A catalogue of literals, one per framework: how it names its checkpoints and how one sees that they are whole."""
