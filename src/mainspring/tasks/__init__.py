"""How each task is fitted, judged and exported: the control plane's knowledge of models."""
