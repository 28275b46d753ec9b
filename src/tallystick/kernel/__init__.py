"""Values and rules that know nothing of storage, network, clock or chance."""
