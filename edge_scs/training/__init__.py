"""Training: needs torch, accelerate and kornia; never executorch, coremltools or torchao."""
