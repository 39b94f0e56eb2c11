"""A sample sheet drafted from a folder of FCS files: what names and keywords suggest, and where each comes from."""
