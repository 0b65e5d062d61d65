"""Hydra finds plugins in this namespace alone: the sweeper that skips what is done."""
