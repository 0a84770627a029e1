"""HTTP: the Open Inference Protocol, the native API, and the BentoML service that carries them."""
