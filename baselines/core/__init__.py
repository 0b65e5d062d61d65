"""The half that organisers need: registry, findings, run files, scorer. It never imports torch, Lightning or Hydra."""
