"""Step-wise generation, the sampler chain, and what is written."""
