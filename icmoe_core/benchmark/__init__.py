"""The benchmark: IC-MoE and its peers on the same data, prompts, split and budget."""
