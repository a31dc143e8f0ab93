"""--data references and what appears in an attempt's input directory."""
